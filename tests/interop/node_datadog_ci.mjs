// datadog-ci against Datadog; see README.md. It uploads a test report, chunked, and counts that with
// a metric whose keys are in the query.

import './watch.mjs'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const directory = mkdtempSync(join(tmpdir(), 'datadog-ci-'))
writeFileSync(
  join(directory, 'report.xml'),
  '<testsuites><testsuite name="a" tests="1"><testcase classname="a" name="b" time="0.1"/></testsuite></testsuites>\n',
)
// Its own words go to standard output, where only the lines about calls belong.
const write = process.stdout.write.bind(process.stdout)
process.stdout.write = (text, ...rest) =>
  (String(text).startsWith('{"method"') ? write : process.stderr.write.bind(process.stderr))(text, ...rest)

process.argv.splice(2, Infinity, 'junit', 'upload', '--service', 'interop', '--skip-git-metadata-upload', directory)
createRequire(import.meta.url)('./node_modules/@datadog/datadog-ci/dist/bundle.js')
