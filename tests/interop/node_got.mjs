// got against Datadog; see README.md.

import got from 'got'
import { drive } from './steps.mjs'

await drive('got', async (method, url, headers, body) => {
  const answer = await got(url, {
    method,
    headers,
    body: body.length ? body : undefined,
    responseType: 'buffer',
    throwHttpErrors: false,
    retry: { limit: 0 },
    timeout: { request: 60_000 },
  })
  return { status: answer.statusCode, body: Buffer.from(answer.body) }
})
