"""Datadog's own generated client, synchronous; see README.md. It obeys no variable at all.

What it sends is looked at in the HTTP library beneath it, without changing anything.
"""

import gzip
import time
from urllib.parse import urlsplit

import urllib3
from datadog_api_client import ApiClient, Configuration
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

beneath = urllib3.connectionpool.HTTPConnectionPool.urlopen


def watched(self, method, url, body=None, headers=None, **options):
    answer = beneath(self, method, url, body=body, headers=headers, **options)
    body = body or b""
    body = body.encode() if isinstance(body, str) else body
    packed = (headers or {}).get("Content-Encoding") == "gzip"
    unpacked = gzip.decompress(body) if packed else None
    report(method, urlsplit(url).path, answer.status, body, answer.data, unpacked)
    return answer


urllib3.connectionpool.HTTPConnectionPool.urlopen = watched

QUERY = "avg(last_5m):avg:system.load.1{*} > 4"
board = Dashboard(title="interop api", layout_type=DashboardLayoutType.ORDERED, widgets=[])
now = int(time.time())

with ApiClient(Configuration()) as client:
    monitors, dashboards = MonitorsApi(client), DashboardsApi(client)
    monitors.list_monitors()
    made = monitors.create_monitor(Monitor(name="interop api", type=MonitorType.QUERY_ALERT, query=QUERY))
    assert monitors.get_monitor(made.id).name == "interop api"
    assert monitors.update_monitor(made.id, MonitorUpdateRequest(name="ünïcode ✓")).name == "ünïcode ✓"
    monitors.delete_monitor(made.id)

    dashboards.list_dashboards()
    made = dashboards.create_dashboard(board)
    assert dashboards.get_dashboard(made.id).title == "interop api"
    dashboards.update_dashboard(made.id, board)
    dashboards.delete_dashboard(made.id)

    assert MetricsApi(client).query_metrics(now - 3600, now, "avg:system.load.1{*}").status == "ok"
    logs = HTTPLog([HTTPLogItem(message=f"interop api {n}", service="interop") for n in range(500)])
    LogsApi(client).submit_log(logs, content_encoding=ContentEncoding.GZIP)
