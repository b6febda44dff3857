"""What a scope's answers are kept in: the seam between single flight and a host's file or Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Literal, Protocol, TypeAlias


class StoreError(Exception):
    """The store can't be read or written. Requests are sent all the same."""


class Claim(Enum):
    """How a request without an answer stands."""

    MINE = "mine"  # the caller has to answer it, and to keep the answer or release the claim
    HELD = "held"  # another is at work on it


Found: TypeAlias = "Literal[Claim.MINE, Claim.HELD] | bytes"
"""A request's claim, or its answer as it was kept."""


@dataclass(frozen=True)
class AnswerScope:
    """What shares its answers.

    Attributes:
        name: unique on a host, and among the applications that share a Redis.
        folder: where a host keeps them.
        application_id: of the query that asks.
        execution_id: of the query that asks, for which its failures hold; empty: it is none, and they aren't kept.
        kept_s: how long answers in Redis stay after their last use.
    """

    name: str
    folder: Path
    application_id: str
    execution_id: str
    kept_s: int

    @property
    def query(self) -> str:
        """Names the query; empty if there is none."""
        return f"{self.application_id}/{self.execution_id}" if self.execution_id else ""


@dataclass(slots=True)
class Outbox:
    """What a process has to write to a store.

    Attributes:
        answers: of claimed requests, for all that ask until the scope ends.
        failures: of claimed requests, for all that ask from the same query.
        released: claims given up: the requests have no answer that others could use.
    """

    answers: list[tuple[bytes, bytes]] = field(default_factory=list)
    failures: list[tuple[bytes, bytes]] = field(default_factory=list)
    released: list[bytes] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.answers or self.failures or self.released)

    def put_back(self, earlier: Outbox) -> None:
        """Puts what could not be written before what is to be written."""
        self.answers[:0] = earlier.answers
        self.failures[:0] = earlier.failures
        self.released[:0] = earlier.released

    def without_answers(self) -> Outbox:
        """The same where nothing more may be kept: claims are given up instead."""
        return Outbox(released=[*self.released, *(key for key, _ in self.answers), *(key for key, _ in self.failures)])


class AnswerStore(Protocol):
    """A process's view of a scope's answers. Belongs to one event loop; one exchange at a time."""

    async def exchange(self, outbox: Outbox, wanted: Sequence[bytes]) -> Sequence[Found]:
        """Writes the outbox, then claims requests that nobody is working on.

        Returns:
            How each wanted request stands, in order.

        Raises:
            StoreError: nothing was claimed; the outbox may not have been written.
        """

    async def close(self) -> None:
        """Gives all claims up."""
