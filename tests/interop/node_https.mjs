// Node's own https module against Datadog; see README.md.

import { request } from 'node:https'
import { drive } from './steps.mjs'

await drive('https', (method, url, headers, body) =>
  new Promise((resolve, reject) => {
    const asked = request(url, { method, headers, timeout: 60_000 }, answer => {
      const parts = []
      answer.on('data', part => parts.push(part))
      answer.on('end', () => resolve({ status: answer.statusCode, body: Buffer.concat(parts) }))
      answer.on('error', reject)
    })
    asked.on('error', reject)
    asked.end(body)
  }),
)
