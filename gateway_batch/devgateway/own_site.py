"""Refuses what web pages of other sites send through a browser on this machine."""

from __future__ import annotations

from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway_batch.devgateway.refusals import Refusal, databricks_error
from gateway_batch.devgateway.settings import is_loopback


class OwnSite:
    """Lets through what no browser sent for another site.

    A browser names the page that a call is from (`Origin`, `Sec-Fetch-Site`). A page whose own name points to this
    machine is known by that name in a browser's `Host`: it is checked where no token is asked for.

    Args:
        app: what the others are passed on to.
        has_token: whether callers must present one.
    """

    def __init__(self, app: ASGIApp, *, has_token: bool) -> None:
        self._app = app
        self._has_token = has_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on, or refuses it with 403."""
        refusal = self._refusal(Headers(scope=scope)) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        body = orjson.dumps(databricks_error(Refusal(403, refusal)))
        await Response(body, 403, media_type="application/json")(scope, receive, send)

    def _refusal(self, headers: Headers) -> str | None:
        host, origin = _place(f"//{headers.get('host', '')}"), headers.get("origin")
        is_foreign = origin is not None and _place(origin) != host
        if is_foreign or headers.get("sec-fetch-site") == "cross-site":
            return "Calls of other sites' pages are refused."
        is_browser = origin is not None or headers.get("user-agent", "").startswith("Mozilla/")
        if is_browser and not self._has_token and not is_loopback(host[0]):
            return "Without a token, a browser must name this machine as localhost or 127.0.0.1."
        return None


def _place(url: str) -> tuple[str, int | None]:
    """The host name and port of a URL; an empty name if it has none that can be read."""
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port
    except ValueError:
        return "", None
