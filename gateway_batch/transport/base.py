"""What a transport is."""

from __future__ import annotations

from typing import Protocol

from gateway_batch.errors import ErrorKind, MalformedError
from gateway_batch.types import HttpReply, HttpRequest

CONNECT_TIMEOUT_S = 10.0
MOST_BYTES = 64 << 20
"""Of an answer's body, unpacked, where a caller says nothing else."""
_MOST_OF_A_REFUSAL = 256 << 10
JSON_HEADERS = {"content-type": "application/json", "accept": "application/json"}
"""Those of every request that has no others by these names."""


class Transport(Protocol):
    """Moves one request to the network and its whole answer back. It never retries and follows no redirects."""

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpReply:
        """The answer, whatever its status.

        Raises:
            UnreachableError: no whole answer arrived; its kind says whether connecting, reading or time failed.
            MalformedError: the answer, unpacked, is larger than the transport may take; it was not read on.
        """
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...


def is_result(status: int) -> bool:
    """Whether an answer's body is what was asked for; that of a refusal only explains it."""
    return 200 <= status < 300


def bytes_to_read(status: int, most_bytes: int) -> int:
    """How much of an answer's body is read: one byte more than is taken of a result, the begin of a refusal."""
    return most_bytes + 1 if is_result(status) else _MOST_OF_A_REFUSAL


def check_size(status: int, size: int, most_bytes: int) -> None:
    """Refuses a result of which more bytes were read than are taken.

    Raises:
        MalformedError: it is too large.
    """
    if size <= most_bytes or not is_result(status):
        return
    raise MalformedError(
        ErrorKind.INVALID_RESPONSE,
        f"the answer is larger than {most_bytes / 2**20:g} MB unpacked, the setting max_answer_mb, and was not read on",
        status=status,
    )
