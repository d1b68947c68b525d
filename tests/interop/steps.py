"""What every Python driver does; see README.md. `send` is the client under test."""

import gzip
import hashlib
import json
import os
import sys
import time

SITE = os.environ.get("DD_SITE", "datadoghq.com")
API = f"https://api.{SITE}"
INTAKE = f"https://http-intake.logs.{SITE}"
KEYS = {
    "DD-API-KEY": os.environ["DD_API_KEY"],
    "DD-APPLICATION-KEY": os.environ["DD_APP_KEY"],
}


def report(method, path, status, request, response, unpacked=None):
    """Prints the line about one call; ends the driver when it failed."""
    digest = lambda body: hashlib.sha256(body).hexdigest()
    line = {
        "method": method,
        "path": path,
        "status": status,
        "sha256_request": digest(request),
        "sha256_response": digest(response),
    }
    if unpacked is not None:
        line["sha256_unpacked"] = digest(unpacked)
    print(json.dumps(line, separators=(",", ":")), flush=True)
    if not 200 <= status < 300:
        sys.exit(f"{method} {path} was answered with {status}")


def drive(name, send):
    """Makes the calls. `send(method, url, headers, body)` returns the status and the body."""

    def call(method, path, value=None, base=API, query="", packed=False):
        plain = b"" if value is None else json.dumps(value).encode()
        body = gzip.compress(plain) if packed else plain
        headers = dict(KEYS)
        if body:
            headers["Content-Type"] = "application/json"
        if packed:
            headers["Content-Encoding"] = "gzip"
            del headers["DD-APPLICATION-KEY"]
        status, answer = send(method, base + path + query, headers, body)
        report(method, path, status, body, answer, plain if packed else None)
        return json.loads(answer)

    monitors = "/api/v1/monitor"
    call("GET", monitors)
    query = "avg(last_5m):avg:system.load.1{*} > 4"
    made = call("POST", monitors, {"name": f"interop {name}", "type": "query alert", "query": query})
    monitor = f"{monitors}/{made['id']}"
    assert call("GET", monitor)["name"] == f"interop {name}"
    assert call("PUT", monitor, {"name": "ünïcode ✓"})["name"] == "ünïcode ✓"
    call("DELETE", monitor)

    dashboards = "/api/v1/dashboard"
    call("GET", dashboards)
    board = {"title": f"interop {name}", "layout_type": "ordered", "widgets": []}
    dashboard = f"{dashboards}/{call('POST', dashboards, board)['id']}"
    assert call("GET", dashboard)["title"] == board["title"]
    call("PUT", dashboard, board | {"title": "changed"})
    call("DELETE", dashboard)

    now = int(time.time())
    query = f"?from={now - 3600}&to={now}&query=avg:system.load.1%7B*%7D"
    assert call("GET", "/api/v1/query", query=query)["status"] == "ok"
    logs = [{"message": f"interop {name} {n}", "service": "interop"} for n in range(500)]
    call("POST", "/api/v2/logs", logs, base=INTAKE, packed=True)
