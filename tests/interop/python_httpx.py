"""httpx against Datadog; see README.md."""

import httpx

from steps import drive

client = httpx.Client(timeout=60)


def send(method, url, headers, body):
    answer = client.request(method, url, headers=headers, content=body or None)
    return answer.status_code, answer.content


drive("httpx", send)
