"""Calls about a gateway and not of rows, by httpx: one at a time, with no event loop."""

from __future__ import annotations

import time

import httpx

from gateway_batch.transport.httpx_transport import proxy_errors, trusted_certificates, unreachable_errors
from gateway_batch.types import HttpReply
from gateway_batch.version import USER_AGENT


def get(url: str, headers: dict[str, str], within_s: float) -> HttpReply:
    """What a GET is answered, whatever its status. Certificates and proxies are those of rows' calls.

    Raises:
        ConfigError: httpx can't use the proxy that the environment names.
        UnreachableError: no whole answer arrived; no step of the call may take longer than `within_s`.
    """
    accepted = {"accept": "application/json", "user-agent": USER_AGENT, **headers}
    with proxy_errors():
        client = httpx.Client(verify=trusted_certificates(), timeout=within_s)
    with unreachable_errors(), client:
        response = client.get(url, headers=accepted, follow_redirects=False)
    return HttpReply(response.status_code, response.headers, response.content, time.time())
