"""urllib3 by itself against Datadog: it obeys no proxy variable; see README.md."""

import urllib3

from steps import drive

pool = urllib3.PoolManager(timeout=60, retries=False)


def send(method, url, headers, body):
    answer = pool.request(method, url, headers=headers, body=body or None)
    return answer.status, answer.data


drive("urllib3", send)
