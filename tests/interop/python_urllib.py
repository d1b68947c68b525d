"""The standard library's urllib against Datadog; see README.md."""

from urllib.request import Request, urlopen

from steps import drive


def send(method, url, headers, body):
    request = Request(url, method=method, headers=headers, data=body or None)
    with urlopen(request, timeout=60) as answer:
        return answer.status, answer.read()


drive("urllib", send)
