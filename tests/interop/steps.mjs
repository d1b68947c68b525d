// What every Node driver does; see README.md. `send` is the client under test.

import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'

const site = process.env.DD_SITE ?? 'datadoghq.com'
const api = `https://api.${site}`
const intake = `https://http-intake.logs.${site}`

const keys = [process.env.DD_API_KEY, process.env.DD_APP_KEY]
if (!keys.every(Boolean)) throw new Error('DD_API_KEY and DD_APP_KEY must be set')

const digest = body => createHash('sha256').update(body).digest('hex')

const same = (got, wanted) => {
  if (got !== wanted) throw new Error(`got ${got} instead of ${wanted}`)
}

// Makes the calls. `send(method, url, headers, body)` resolves to {status, body: Buffer}.
// A failure is told in a line: some clients' errors print whole requests, keys included.
export const drive = (name, send) =>
  calls(name, send).catch(error => {
    console.error(`${name}: ${error.message}${error.cause ? ` (${error.cause.message})` : ''}`)
    process.exitCode = 1
  })

const calls = async (name, send) => {
  const call = async (method, path, { value, base = api, query = '', packed = false } = {}) => {
    const plain = Buffer.from(value === undefined ? '' : JSON.stringify(value))
    const body = packed ? gzipSync(plain) : plain
    const headers = { 'DD-API-KEY': keys[0] }
    if (packed) headers['Content-Encoding'] = 'gzip'
    else headers['DD-APPLICATION-KEY'] = keys[1]
    if (body.length) headers['Content-Type'] = 'application/json'
    const answer = await send(method, base + path + query, headers, body)
    const { status } = answer
    const line = { method, path, status, sha256_request: digest(body), sha256_response: digest(answer.body) }
    if (packed) line.sha256_unpacked = digest(plain)
    console.log(JSON.stringify(line))
    if (status < 200 || status > 299) throw new Error(`${method} ${path} was answered with ${status}`)
    return JSON.parse(answer.body)
  }

  const monitors = '/api/v1/monitor'
  await call('GET', monitors)
  const query = 'avg(last_5m):avg:system.load.1{*} > 4'
  const made = await call('POST', monitors, { value: { name: `interop ${name}`, type: 'query alert', query } })
  const monitor = `${monitors}/${made.id}`
  same((await call('GET', monitor)).name, `interop ${name}`)
  same((await call('PUT', monitor, { value: { name: 'ünïcode ✓' } })).name, 'ünïcode ✓')
  await call('DELETE', monitor)

  const dashboards = '/api/v1/dashboard'
  await call('GET', dashboards)
  const board = { title: `interop ${name}`, layout_type: 'ordered', widgets: [] }
  const dashboard = `${dashboards}/${(await call('POST', dashboards, { value: board })).id}`
  same((await call('GET', dashboard)).title, board.title)
  await call('PUT', dashboard, { value: { ...board, title: 'changed' } })
  await call('DELETE', dashboard)

  const now = Math.floor(Date.now() / 1000)
  const span = `?from=${now - 3600}&to=${now}&query=avg:system.load.1%7B*%7D`
  same((await call('GET', '/api/v1/query', { query: span })).status, 'ok')
  const logs = Array.from({ length: 500 }, (_, n) => ({ message: `interop ${name} ${n}`, service: 'interop' }))
  await call('POST', '/api/v2/logs', { value: logs, base: intake, packed: true })
}
