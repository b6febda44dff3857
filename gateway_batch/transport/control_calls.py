"""Calls about a gateway and not of rows, by httpx: one at a time, from a thread without an event loop."""

from __future__ import annotations

import asyncio
import time

import httpx

from gateway_batch.errors import ErrorKind, UnreachableError
from gateway_batch.transport.httpx_transport import (
    PACKINGS,
    is_packed_as_asked,
    proxy_errors,
    trusted_certificates,
    unreachable_errors,
)
from gateway_batch.types import HttpReply
from gateway_batch.version import USER_AGENT

_MOST_BYTES = 8 << 20


def get(url: str, headers: dict[str, str], within_s: float) -> HttpReply:
    """What a GET is answered, whatever its status. Certificates and proxies are those of rows' calls.

    Args:
        url: what is called.
        headers: besides those that every call has.
        within_s: for all of it, however a server draws its answer out.

    Raises:
        ConfigError: httpx can't use the proxy that the environment names.
        UnreachableError: no whole answer arrived in time, or it is larger than 8 MiB.
    """
    own = {"accept": "application/json", "accept-encoding": PACKINGS, "user-agent": USER_AGENT}
    return asyncio.run(_get(url, {**own, **headers}, within_s))


async def _get(url: str, headers: dict[str, str], within_s: float) -> HttpReply:
    with proxy_errors():
        client = httpx.AsyncClient(verify=trusted_certificates(), timeout=within_s)
    with unreachable_errors():
        async with asyncio.timeout(within_s), client, client.stream("GET", url, headers=headers) as response:
            if not is_packed_as_asked(response):
                raise UnreachableError(ErrorKind.DISCONNECT, "the answer's content-encoding is none that was asked for")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise UnreachableError(ErrorKind.DISCONNECT, f"the answer is larger than {_MOST_BYTES >> 20} MiB")
    return HttpReply(response.status_code, response.headers, bytes(body), time.time())
