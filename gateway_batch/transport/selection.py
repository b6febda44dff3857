"""Opens a transport by the name that the setting `transport` has for it; its library is loaded then."""

from __future__ import annotations

from typing import assert_never

from gateway_batch.config import TransportName
from gateway_batch.transport.base import Transport


def open_transport(name: TransportName, user_agent: str) -> Transport:
    """A transport of this process: use it on one event loop, after any fork."""
    match name:
        case "pyreqwest":
            from gateway_batch.transport.reqwest import ReqwestTransport

            return ReqwestTransport(user_agent)
        case "httpx":
            from gateway_batch.transport.httpx_transport import HttpxTransport

            return HttpxTransport(user_agent)
    assert_never(name)
