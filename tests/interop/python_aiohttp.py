"""aiohttp against Datadog; see README.md. With the argument `trust_env` it obeys proxy variables,
without it none."""

import asyncio
import sys

import aiohttp

from steps import drive

loop = asyncio.new_event_loop()


async def opened():
    return aiohttp.ClientSession(trust_env="trust_env" in sys.argv[1:])


session = loop.run_until_complete(opened())


async def request(method, url, headers, body):
    timeout = aiohttp.ClientTimeout(60)
    async with session.request(method, url, headers=headers, data=body or None, timeout=timeout) as answer:
        return answer.status, await answer.read()


drive("aiohttp", lambda *call: loop.run_until_complete(request(*call)))
loop.run_until_complete(session.close())
