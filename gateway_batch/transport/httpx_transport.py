"""The transports through httpx: over a client that the user brings, and over small pools of our own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from weakref import WeakSet

import httpx

from gateway_batch.errors import ConfigError, ErrorKind, MalformedError, UnreachableError
from gateway_batch.transport.base import (
    CONNECT_TIMEOUT_S,
    JSON_HEADERS,
    MOST_BYTES,
    bytes_to_read,
    check_size,
    is_result,
)
from gateway_batch.types import HttpReply, HttpRequest

PACKINGS = "gzip, deflate"
"""Those that grow a piece of an answer by a bounded factor as it is unpacked."""
_UNPACKED = frozenset({"gzip", "deflate", "identity", ""})

_OPENED = ("connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete")
_REQUESTS_PER_POOL = 4
_NO_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=5.0)


class HttpxClientTransport:
    """Sends through an `httpx.AsyncClient` of the user's, who closes it.

    What the client has set applies, such as proxies, certificates, headers, `auth` and event hooks, but for its
    timeout, and it follows no redirects. An error of its own code (a hook, an `auth`, a mock) passes through.

    Args:
        client: used on the event loop that `send` runs on.
        user_agent: the User-Agent of every request.
        most_bytes: of an answer's body, unpacked.
    """

    def __init__(self, client: httpx.AsyncClient, user_agent: str, most_bytes: int = MOST_BYTES) -> None:
        self._client = client
        self._headers = {**JSON_HEADERS, "user-agent": user_agent, "accept-encoding": PACKINGS}
        self._most_bytes = most_bytes
        self._connections = _Connections()

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpReply:
        """The whole answer, whatever its status.

        Raises:
            RuntimeError: the client is closed.
            UnreachableError: no whole answer arrived.
            MalformedError: the answer is too large, or packed in a way that was not asked for.
        """
        headers = _encoded(self._headers) | _encoded(request.headers)
        with unreachable_errors():
            built = self._client.build_request(
                "POST",
                request.url,
                content=request.body,
                headers=headers,
                timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
                extensions={"trace": self._connections.watch()},
            )
            if request.query_is_secret:
                built.url = _UnshownQuery(built.url)
            async with asyncio.timeout(timeout_s):
                response = await self._client.send(built, follow_redirects=False, stream=True)
                try:
                    body = await self._body(response)
                finally:
                    await response.aclose()
        return HttpReply(response.status_code, response.headers, body, time.time())

    async def close(self) -> None:
        """Closes the connections, which belong to this event loop; the client stays open and can make others."""
        await self._connections.close()

    async def _body(self, response: httpx.Response) -> bytes:
        if not is_result(response.status_code):
            with contextlib.suppress(httpx.HTTPError):  # its status says enough
                return await self._read(response) if is_packed_as_asked(response) else b""
            return b""
        if not is_packed_as_asked(response):
            what = "the answer's content-encoding is none that was asked for (gzip or deflate)"
            raise MalformedError(ErrorKind.INVALID_RESPONSE, what, status=response.status_code)
        return await self._read(response)

    async def _read(self, response: httpx.Response) -> bytes:
        body, most = bytearray(), bytes_to_read(response.status_code, self._most_bytes)
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) >= most:
                break
        check_size(response.status_code, len(body), self._most_bytes)
        return bytes(body[:most])


class _UnshownQuery(httpx.URL):
    """A URL that is sent whole, and whose text, which httpx logs and hooks may, is without its query."""

    def __str__(self) -> str:
        return f"{super().__str__().partition('?')[0]}?***"

    def __repr__(self) -> str:
        return f"URL({str(self)!r})"


class _Connections:
    """The connections that httpx opens on this event loop: no other could close them once it has ended."""

    def __init__(self) -> None:
        self._streams: WeakSet[Any] = WeakSet()

    def watch(self) -> Callable[[str, Mapping[str, Any]], Awaitable[None]]:
        """A request's `trace` extension."""
        opened = None

        async def note(event: str, info: Mapping[str, Any]) -> None:
            nonlocal opened
            if event.endswith(_OPENED):
                opened = info["return_value"]
                self._streams.add(opened)
            elif event.endswith("start_tls.failed") and opened is not None:
                await opened.aclose()  # httpcore forgets it where the handshake is cancelled

        return note

    async def close(self) -> None:
        for stream in list(self._streams):
            await stream.aclose()


@dataclass(slots=True)
class _Pool:
    client: httpx.AsyncClient
    transport: HttpxClientTransport
    in_flight: int = 0


class HttpxTransport:
    """Sends through httpx, as `ReqwestTransport` does. Make it and use it on one event loop, after any fork.

    A pool of httpx goes through all its connections at each request, so connections are spread over small pools.

    Args:
        user_agent: the User-Agent of every request.
        most_bytes: of an answer's body, unpacked.

    Raises:
        ConfigError: httpx can't use the proxy that the environment names.
    """

    def __init__(self, user_agent: str, most_bytes: int = MOST_BYTES) -> None:
        self._user_agent = user_agent
        self._most_bytes = most_bytes
        self._certificates = trusted_certificates()
        self._pools = [self._open_pool()]
        self._closed = False

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpReply:
        """The whole answer, whatever its status."""
        pool = self._pool_with_room()
        pool.in_flight += 1
        try:
            return await pool.transport.send(request, timeout_s)
        finally:
            pool.in_flight -= 1

    async def close(self) -> None:
        """Closes the pools."""
        self._closed = True
        for pool in self._pools:
            await pool.client.aclose()

    def _pool_with_room(self) -> _Pool:
        if self._closed:
            raise UnreachableError(ErrorKind.DISCONNECT, "the transport is closed")
        for pool in self._pools:
            if pool.in_flight < _REQUESTS_PER_POOL:
                return pool
        self._pools.append(self._open_pool())
        return self._pools[-1]

    def _open_pool(self) -> _Pool:
        with proxy_errors():
            client = httpx.AsyncClient(verify=self._certificates, limits=_NO_LIMITS, cookies=_no_cookies())
        return _Pool(client, HttpxClientTransport(client, self._user_agent, self._most_bytes))


def is_packed_as_asked(response: httpx.Response) -> bool:
    """Whether an answer has one content-encoding of `PACKINGS`, or none."""
    return response.headers.get("content-encoding", "identity").strip().lower() in _UNPACKED


def check_client(client: object) -> None:
    """Whether it is a client that calls can be sent through.

    Raises:
        ConfigError: it is something else, such as an `httpx.Client`.
    """
    if not isinstance(client, httpx.AsyncClient):
        kind = type(client)
        raise ConfigError(f"http_client: must be an httpx.AsyncClient, and is a {kind.__module__}.{kind.__qualname__}")


def trusted_certificates() -> ssl.SSLContext:
    """The system's authorities, or those that SSL_CERT_FILE and SSL_CERT_DIR name; httpx's own where there are none."""
    paths = ssl.get_default_verify_paths()
    return ssl.create_default_context() if paths.cafile or paths.capath else httpx.create_ssl_context()


def _no_cookies() -> CookieJar:
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _encoded(headers: dict[str, str]) -> dict[bytes, bytes]:
    return {name.lower().encode(): value.encode() for name, value in headers.items()}


@contextmanager
def proxy_errors() -> Iterator[None]:
    """Raises what httpx finds wrong with a proxy of the environment, as it opens a client, as `ConfigError`."""
    try:
        yield
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise ConfigError(f"httpx can't use the proxy of the environment: {error}") from None


@contextmanager
def unreachable_errors() -> Iterator[None]:
    """Raises httpx's errors of the network, and of a request that can't be built, as `UnreachableError`."""
    try:
        yield
    except TimeoutError:
        raise UnreachableError(ErrorKind.TIMEOUT, "no answer in time") from None
    except (httpx.TransportError, httpx.DecodingError, httpx.InvalidURL) as error:
        raise _described(error) from None  # the cause's text may hold a name or a key


def _described(error: Exception) -> UnreachableError:
    match error:
        case httpx.ConnectTimeout():
            return UnreachableError(ErrorKind.CONNECT, f"no connection within {CONNECT_TIMEOUT_S:g} s")
        case httpx.TimeoutException():
            return UnreachableError(ErrorKind.TIMEOUT, "no answer in time")
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | httpx.LocalProtocolError():
            return UnreachableError(ErrorKind.BAD_REQUEST, "the request can't be built")
        case httpx.ConnectError() | httpx.ProxyError():
            kind, what = ErrorKind.CONNECT, "could not connect"
        case _:
            kind, what = ErrorKind.DISCONNECT, "the connection broke before the answer was whole"
    reason = _reason(_root_cause(error))
    return UnreachableError(kind, f"{what}: {reason}" if reason else what)


def _root_cause(error: BaseException) -> BaseException:
    while cause := _cause(error):
        error = cause
    return error


def _cause(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):
        return error.exceptions[0]
    return error.__cause__ or error.__context__  # httpcore hides a cause by `from None`


def _reason(cause: BaseException) -> str | None:
    """What a cause says, without what it quotes of an answer or an address."""
    match cause:
        case ssl.SSLCertVerificationError():
            return f"invalid peer certificate: {cause.verify_message}"
        case ssl.SSLError():
            return cause.reason
        case socket.gaierror():
            return cause.strerror
        case OSError():
            return os.strerror(cause.errno) if cause.errno else None
        case _:
            return str(cause).partition(":")[0] or None
