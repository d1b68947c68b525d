// Datadog's own generated client against Datadog; see README.md. On Node 20 it obeys no variable.

import './watch.mjs'
import { client, v1, v2 } from '@datadog/datadog-api-client'

const same = (got, wanted) => {
  if (got !== wanted) throw new Error(`got ${got} instead of ${wanted}`)
}

const configuration = client.createConfiguration()
const monitors = new v1.MonitorsApi(configuration)
const dashboards = new v1.DashboardsApi(configuration)

await monitors.listMonitors()
const query = 'avg(last_5m):avg:system.load.1{*} > 4'
const { id } = await monitors.createMonitor({ body: { name: 'interop api', type: 'query alert', query } })
same((await monitors.getMonitor({ monitorId: id })).name, 'interop api')
await monitors.updateMonitor({ monitorId: id, body: { name: 'ünïcode ✓' } })
await monitors.deleteMonitor({ monitorId: id })

await dashboards.listDashboards()
const body = { title: 'interop api', layoutType: 'ordered', widgets: [] }
const { id: dashboardId } = await dashboards.createDashboard({ body })
same((await dashboards.getDashboard({ dashboardId })).title, 'interop api')
await dashboards.updateDashboard({ dashboardId, body })
await dashboards.deleteDashboard({ dashboardId })

const to = Math.floor(Date.now() / 1000)
const answer = await new v1.MetricsApi(configuration).queryMetrics({ from: to - 3600, to, query: 'avg:system.load.1{*}' })
same(answer.status, 'ok')
const logs = Array.from({ length: 500 }, (_, n) => ({ message: `interop api ${n}`, service: 'interop' }))
await new v2.LogsApi(configuration).submitLog({ contentEncoding: 'gzip', body: logs })
