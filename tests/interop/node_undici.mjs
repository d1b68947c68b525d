// The undici package against Datadog; see README.md.

import { request } from 'undici'
import { drive } from './steps.mjs'

await drive('undici', async (method, url, headers, body) => {
  const signal = AbortSignal.timeout(60_000)
  const named = { ...headers, 'User-Agent': 'undici' }
  const answer = await request(url, { method, headers: named, signal, body: body.length ? body : undefined })
  return { status: answer.statusCode, body: Buffer.from(await answer.body.arrayBuffer()) }
})
