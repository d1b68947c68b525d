// node-fetch 3 against Datadog; see README.md.

import fetch from 'node-fetch'
import { drive } from './steps.mjs'

await drive('node-fetch', async (method, url, headers, body) => {
  const signal = AbortSignal.timeout(60_000)
  const answer = await fetch(url, { method, headers, signal, body: body.length ? body : undefined })
  return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) }
})
