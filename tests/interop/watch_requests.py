"""For clients on requests that do not show what they send: looks at it in that library, without
changing anything, and prints the line about each call; see README.md."""

import zlib
from urllib.parse import urlsplit

import requests

from steps import report

beneath = requests.adapters.HTTPAdapter.send


def watched(self, request, **options):
    answer = beneath(self, request, **options)
    body = request.body or b""
    body = body.encode() if isinstance(body, str) else body
    packed = request.headers.get("Content-Encoding") == "deflate"
    unpacked = zlib.decompress(body) if packed else None
    path = urlsplit(request.url).path
    report(request.method, path, answer.status_code, body, answer.content, unpacked)
    return answer


requests.adapters.HTTPAdapter.send = watched
