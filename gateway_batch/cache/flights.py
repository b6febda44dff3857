"""Single flight: of identical requests one is sent; the others get its answer, and hold no slot while they wait."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import orjson

from gateway_batch.cache.store import AnswerStore, Claim
from gateway_batch.errors import CallError, ErrorKind

# These would fail again the same way, for as long as the scope lasts.
PERMANENT = frozenset(
    {
        ErrorKind.AUTHENTICATION,
        ErrorKind.BAD_REQUEST,
        ErrorKind.NOT_FOUND,
        ErrorKind.NOT_THE_API,
        ErrorKind.PERMISSION,
        ErrorKind.POLICY,
        ErrorKind.TOO_LARGE,
    }
)

_ASK_TOGETHER_S = 0.002
_ASK_AGAIN_S = 0.05

_log = logging.getLogger(__name__)

Outcome = Any | CallError
Send = Callable[[Sequence[int]], Awaitable[Sequence[Outcome]]]


class Flights:
    """Answers requests once a scope. Belongs to one event loop.

    Args:
        store: of the scope, shared with the host's other processes.
        keep_failures: whether a failure that would repeat itself is kept as an answer.

    Attributes:
        saved: requests that were not sent, as their answers were there.
    """

    def __init__(self, store: AnswerStore, *, keep_failures: bool) -> None:
        self._store = store
        self._keep_failures = keep_failures
        self._loop = asyncio.get_running_loop()
        self._here: dict[bytes, asyncio.Future[None]] = {}
        self._asked: dict[bytes, asyncio.Future[Claim]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._done: list[tuple[bytes, bytes]] = []
        self._given_up: list[bytes] = []
        self._warned = False
        self.saved = 0

    async def answer(self, key: bytes, send: Callable[[], Awaitable[Any]]) -> Any:
        """The answer to one request: a kept one, or what `send` returns.

        Raises:
            CallError: what `send` raised, or a kept failure.
        """

        async def send_one(places: Sequence[int]) -> Sequence[Outcome]:
            try:
                return [await send()]
            except CallError as error:
                return [error]

        (outcome,) = await self.answer_all([key], send_one)
        if isinstance(outcome, CallError):
            raise outcome
        return outcome

    async def answer_all(self, keys: Sequence[bytes], send: Send) -> list[Outcome]:
        """The answers to several requests; those that nobody has or is at work on go to `send` together.

        Args:
            keys: of the requests; the same one may stand twice.
            send: takes places in `keys`; returns their outcomes.
        """
        found: dict[bytes, Outcome] = {}
        waiting = list(dict.fromkeys(keys))
        while waiting:
            free = [key for key in waiting if key not in self._here]
            if not free:
                await asyncio.shield(self._here[waiting[0]])
                free = [key for key in waiting if key not in self._here]
            found |= await self._fly(free, keys, send)
            waiting = [key for key in waiting if key not in found]
        self.saved += len(keys) - len(set(keys))
        return [found[key] for key in keys]

    def write(self) -> None:
        """Writes what is done and given up."""
        done, self._done = self._done, []
        given_up, self._given_up = self._given_up, []
        try:
            if done:
                self._store.keep(done)
            if given_up:
                self._store.release(given_up)
        except sqlite3.Error as error:
            self._warn(error)

    def close(self) -> None:
        """Writes what is done, gives up all claims, and lets the store go."""
        if self._timer is not None:
            self._timer.cancel()
        self.write()
        self._store.close()

    async def _fly(self, free: list[bytes], keys: Sequence[bytes], send: Send) -> dict[bytes, Outcome]:
        """Claims keys, sends those that are ours to send; returns what is known of them afterwards."""
        flight = self._loop.create_future()
        self._here |= dict.fromkeys(free, flight)
        found: dict[bytes, Outcome] = {}
        try:
            asked = [(key, self._claim(key)) for key in free]
            claims = {key: await claim for key, claim in asked}
            for key, claim in claims.items():
                if claim.answer is not None:
                    found[key] = _decoded(claim.answer)
                    self.saved += 1
            if mine := [key for key, claim in claims.items() if claim.mine]:
                outcomes = await send([keys.index(key) for key in mine])
                for key, outcome in zip(mine, outcomes, strict=True):
                    found[key] = outcome
                    self._settle(key, outcome)
        except BaseException:
            self._give_up([key for key in free if key not in found])
            raise
        finally:
            for key in free:
                del self._here[key]
                self._asked.pop(key, None)
            flight.set_result(None)
        return found

    def _claim(self, key: bytes) -> asyncio.Future[Claim]:
        """A claim that is ours or has an answer, once there is one. Claims of several calls are made together."""
        future: asyncio.Future[Claim] = self._loop.create_future()
        self._asked[key] = future
        self._ask_in(_ASK_TOGETHER_S)
        return future

    def _ask_in(self, delay_s: float) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(delay_s, self._ask)

    def _ask(self) -> None:
        self._timer = None
        self.write()  # first: a claim that is given up but still written down would look as if it were ours
        try:
            claims = self._store.claim(self._asked)
        except sqlite3.Error as error:
            self._warn(error)
            claims = dict.fromkeys(self._asked, Claim(mine=True))
        for key, claim in claims.items():
            if claim.mine or claim.answer is not None:
                future = self._asked.pop(key)
                if not future.done():  # cancelled: what it would have claimed is given up with it
                    future.set_result(claim)
        if self._asked:
            self._ask_in(_ASK_AGAIN_S)

    def _settle(self, key: bytes, outcome: Outcome) -> None:
        failed = isinstance(outcome, CallError)
        if failed and not (self._keep_failures and outcome.kind in PERMANENT):
            self._give_up([key])
            return
        if not self._done:
            self._loop.call_soon(self.write)
        self._done.append((key, _encoded(outcome)))

    def _give_up(self, keys: Iterable[bytes]) -> None:
        if not self._given_up:
            self._loop.call_soon(self.write)
        self._given_up += keys

    def _warn(self, error: sqlite3.Error) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("answers can't be shared for now, so identical requests may be sent again: %s", error)


def _encoded(outcome: Outcome) -> bytes:
    if isinstance(outcome, CallError):
        return orjson.dumps({"kind": outcome.kind, "message": str(outcome), "status": outcome.status})
    return orjson.dumps({"value": outcome})


def _decoded(answer: bytes) -> Outcome:
    kept = orjson.loads(answer)
    if "kind" in kept:
        return CallError(ErrorKind(kept["kind"]), kept["message"], status=kept["status"])
    return kept["value"]
