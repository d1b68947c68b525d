// axios against Datadog; see README.md.

import axios from 'axios'
import { drive } from './steps.mjs'

await drive('axios', async (method, url, headers, body) => {
  const answer = await axios.request({
    method,
    url,
    headers,
    data: body.length ? body : undefined,
    responseType: 'arraybuffer',
    validateStatus: () => true,
    timeout: 60_000,
  })
  return { status: answer.status, body: Buffer.from(answer.data) }
})
