"""The transport of the hot path: reqwest's pooled client, through pyreqwest."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Mapping
from datetime import timedelta

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import (
    BuilderError,
    ConnectError,
    ConnectTimeoutError,
    DetailedPyreqwestError,
    PyreqwestError,
    RequestTimeoutError,
)
from pyreqwest.http import HeaderMap
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from gateway_batch.errors import ErrorKind, UnreachableError
from gateway_batch.transport.base import (
    CONNECT_TIMEOUT_S,
    JSON_HEADERS,
    MOST_BYTES,
    bytes_to_read,
    check_size,
    is_result,
)
from gateway_batch.types import HttpReply, HttpRequest

_GZIP = b"\x1f\x8b"


class ReqwestTransport:
    """One connection pool. Make it and use it on one event loop, after any fork.

    Args:
        user_agent: the User-Agent of every request.
        most_bytes: of an answer's body, unpacked.
    """

    def __init__(self, user_agent: str, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._client = (
            ClientBuilder()
            .user_agent(user_agent)
            .follow_redirects(False)  # a redirected request would be a second, unrecorded one
            .referer(False)
            .http1_ignore_invalid_headers_in_responses(True)
            .http1_allow_spaces_after_header_name_in_responses(True)
            .http1_allow_obsolete_multiline_headers_in_responses(True)
            .connect_timeout(timedelta(seconds=CONNECT_TIMEOUT_S))
            .default_headers(JSON_HEADERS)
            .build()
        )

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpReply:
        """The whole answer, whatever its status."""
        try:
            async with self._build(request, timeout_s) as response:
                body = await self._read(response)
                check_size(response.status, len(body), self._most_bytes)
        except PyreqwestError as error:
            raise _unreachable(error) from None  # the cause's text holds the URL, and that may hold a name or a key
        return HttpReply(response.status, _ReadableHeaders(response.headers), body, time.time())

    async def close(self) -> None:
        """Closes the pool; a process must do so before it ends."""
        await self._client.close()

    async def _read(self, response: Response) -> bytes:
        most = bytes_to_read(response.status, self._most_bytes)
        try:
            body = bytes(await response.body_reader.read(most) or b"")
        except PyreqwestError:
            if is_result(response.status):
                raise
            return b""  # the status says enough; what breaks off in the first 64 KB has no status here
        return _unpacked(body, most) if body.startswith(_GZIP) else body

    def _build(self, request: HttpRequest, timeout_s: float) -> StreamRequest:
        try:
            return (
                self._client.post(request.url)
                .headers(request.headers)
                .body_bytes(request.body)
                .timeout(timedelta(seconds=timeout_s))
                .build_streamed()
            )
        except ValueError:  # its text holds the URL or the header's value
            raise UnreachableError(ErrorKind.BAD_REQUEST, "the request can't be built") from None


def _unpacked(body: bytes, most: int) -> bytes:
    """What is left packed, as reqwest knows `gzip` in small letters only; as it is where that isn't whole."""
    try:
        return zlib.decompressobj(wbits=31).decompress(body, most)
    except zlib.error:
        return body


class _ReadableHeaders(Mapping[str, str]):
    """An answer's headers, without those whose values are not ASCII: pyreqwest raises ValueError for them."""

    def __init__(self, headers: HeaderMap) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        try:
            return self._headers[name]
        except ValueError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (name for name in dict.fromkeys(self._headers) if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _unreachable(error: PyreqwestError) -> UnreachableError:
    match error:
        case ConnectTimeoutError() if _never_connected(error):
            kind, what = ErrorKind.CONNECT, f"no connection within {CONNECT_TIMEOUT_S:g} s"
        case RequestTimeoutError():
            kind, what = ErrorKind.TIMEOUT, "no answer in time"
        case ConnectError() if _never_connected(error):
            kind, what = ErrorKind.CONNECT, "could not connect"
        case BuilderError():
            kind, what = ErrorKind.BAD_REQUEST, "the request can't be built"
        case _:
            kind, what = ErrorKind.DISCONNECT, "the connection broke before the answer was whole"
    reason = _root_cause(error)
    return UnreachableError(kind, f"{what}: {reason}" if reason else what)


def _never_connected(error: DetailedPyreqwestError) -> bool:
    """Whether it failed to connect.

    A connection that breaks, or a time limit that passes, before the answer's head is an error of connecting too; only
    its causes distinguish them.
    """
    return any(cause["message"] == "client error (Connect)" for cause in error.details.get("causes") or ())


def _root_cause(error: PyreqwestError) -> str | None:
    causes = error.details.get("causes") if isinstance(error, DetailedPyreqwestError) else None
    return causes[-1]["message"] if causes else None
