"""requests against Datadog; see README.md."""

import requests

from steps import drive

session = requests.Session()


def send(method, url, headers, body):
    answer = session.request(method, url, headers=headers, data=body or None, timeout=60)
    return answer.status_code, answer.content


drive("requests", send)
