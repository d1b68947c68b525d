"""datadogpy against Datadog; see README.md.

The library neither submits logs nor shows its requests: it submits a (deflated) metric series
instead.
"""

import time

import watch_requests
from datadog import api, initialize

initialize(mute=False)

api.Monitor.get_all()
query = "avg(last_5m):avg:system.load.1{*} > 4"
monitor = api.Monitor.create(type="query alert", query=query, name="interop datadogpy")
assert api.Monitor.get(monitor["id"])["name"] == "interop datadogpy"
api.Monitor.update(monitor["id"], name="interop datadogpy, changed", query=query)
api.Monitor.delete(monitor["id"])

api.Dashboard.get_all()
board = {"title": "interop datadogpy", "layout_type": "ordered", "widgets": []}
dashboard = api.Dashboard.create(**board)
assert api.Dashboard.get(dashboard["id"])["title"] == board["title"]
api.Dashboard.update(dashboard["id"], **(board | {"title": "changed"}))
api.Dashboard.delete(dashboard["id"])

now = int(time.time())
api.Metric.query(start=now - 3600, end=now, query="avg:system.load.1{*}")
points = [(now - n, n / 7) for n in range(500)]
api.Metric.send(metric="interop.datadogpy", points=points)
