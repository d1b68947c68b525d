"""The dog command of datadogpy against Datadog; see README.md. It lists no dashboards, and queries nothing."""

import contextlib
import io
import json
import sys

import watch_requests
from datadog import dogshell

beneath = watch_requests.report
real = sys.stdout


def report(*call):
    with contextlib.redirect_stdout(real):
        beneath(*call)


watch_requests.report = report


def dog(*words):
    """Runs one command; what it prints is JSON, if it prints anything."""
    sys.argv = ["dog", "--raw", *words]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        dogshell.main()
    return said.getvalue()


query = "avg(last_5m):avg:system.load.1{*} > 4"
named = ("--name", "interop dog", "--message", "It is high.", "--options", "{}")
dog("monitor", "show_all")
monitor = str(json.loads(dog("monitor", "post", "query alert", query, *named))["id"])
assert json.loads(dog("monitor", "show", monitor))["name"] == "interop dog"
dog("monitor", "update", monitor, "--name", "changed")
dog("monitor", "delete", monitor)

made = json.loads(dog("dashboard", "post", "interop dog", "[]", "ordered"))
assert json.loads(dog("dashboard", "show", made["id"]))["title"] == "interop dog"
dog("dashboard", "update", made["id"], "changed", "[]", "ordered")
dog("dashboard", "delete", made["id"])

dog("metric", "post", "interop.dog", "1.5")
