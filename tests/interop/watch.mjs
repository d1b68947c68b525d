// For clients that do not show their requests: looks at what Node's https module sends and gets,
// without changing anything, and prints the line about each call; see README.md.

import { createHash } from 'node:crypto'
import https from 'node:https'
import { gunzipSync } from 'node:zlib'

const digest = body => createHash('sha256').update(body).digest('hex')
const beneath = https.request

https.request = (...list) => {
  const asked = beneath(...list)
  const sent = []
  for (const name of ['write', 'end']) {
    const real = asked[name]
    asked[name] = function (part, ...rest) {
      if (part && typeof part !== 'function')
        sent.push(Buffer.from(part, typeof rest[0] === 'string' ? rest[0] : undefined))
      return real.call(this, part, ...rest)
    }
  }
  asked.on('response', answer => {
    const got = []
    answer.on('data', part => got.push(part))
    answer.on('end', () => {
      const body = Buffer.concat(sent)
      const line = {
        method: asked.method,
        path: asked.path.split('?')[0],
        status: answer.statusCode,
        sha256_request: digest(body),
        sha256_response: digest(Buffer.concat(got)),
      }
      if (String(asked.getHeader('content-encoding')) === 'gzip') line.sha256_unpacked = digest(gunzipSync(body))
      process.stdout.write(JSON.stringify(line) + '\n')
    })
  })
  return asked
}
