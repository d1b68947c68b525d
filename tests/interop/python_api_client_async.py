"""Datadog's own generated client, asynchronous; see README.md. It obeys no variable at all.

What it sends is looked at in the HTTP library beneath it, without changing anything.
"""

import asyncio
import gzip
import time
from urllib.parse import urlsplit

import aiosonic
from datadog_api_client import AsyncApiClient, Configuration
from datadog_api_client.v1.api.dashboards_api import DashboardsApi
from datadog_api_client.v1.api.metrics_api import MetricsApi
from datadog_api_client.v1.api.monitors_api import MonitorsApi
from datadog_api_client.v1.model.dashboard import Dashboard
from datadog_api_client.v1.model.dashboard_layout_type import DashboardLayoutType
from datadog_api_client.v1.model.monitor import Monitor
from datadog_api_client.v1.model.monitor_type import MonitorType
from datadog_api_client.v1.model.monitor_update_request import MonitorUpdateRequest
from datadog_api_client.v2.api.logs_api import LogsApi
from datadog_api_client.v2.model.content_encoding import ContentEncoding
from datadog_api_client.v2.model.http_log import HTTPLog
from datadog_api_client.v2.model.http_log_item import HTTPLogItem

from steps import report

beneath = aiosonic.HTTPClient.request


async def watched(self, url, method="GET", headers=None, params=None, data=None, **options):
    answer = await beneath(self, url, method, headers, params, data, **options)
    # It is handed `null` for every GET, and sends nothing.
    body = b"" if method == "GET" else data or b""
    body = body.encode() if isinstance(body, str) else body
    packed = (headers or {}).get("Content-Encoding") == "gzip"
    unpacked = gzip.decompress(body) if packed else None
    report(method, urlsplit(url).path, answer.status_code, body, await answer.content(), unpacked)
    return answer


aiosonic.HTTPClient.request = watched

QUERY = "avg(last_5m):avg:system.load.1{*} > 4"
board = Dashboard(title="interop async", layout_type=DashboardLayoutType.ORDERED, widgets=[])
now = int(time.time())


async def calls():
    async with AsyncApiClient(Configuration()) as client:
        monitors, dashboards = MonitorsApi(client), DashboardsApi(client)
        await monitors.list_monitors()
        monitor = Monitor(name="interop async", type=MonitorType.QUERY_ALERT, query=QUERY)
        made = await monitors.create_monitor(monitor)
        assert (await monitors.get_monitor(made.id)).name == "interop async"
        await monitors.update_monitor(made.id, MonitorUpdateRequest(name="ünïcode ✓"))
        await monitors.delete_monitor(made.id)

        await dashboards.list_dashboards()
        made = await dashboards.create_dashboard(board)
        assert (await dashboards.get_dashboard(made.id)).title == "interop async"
        await dashboards.update_dashboard(made.id, board)
        await dashboards.delete_dashboard(made.id)

        await MetricsApi(client).query_metrics(now - 3600, now, "avg:system.load.1{*}")
        logs = HTTPLog([HTTPLogItem(message=f"interop {n}", service="interop") for n in range(500)])
        await LogsApi(client).submit_log(logs, content_encoding=ContentEncoding.GZIP)


asyncio.run(calls())
