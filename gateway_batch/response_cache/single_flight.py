"""Single flight: of identical requests one is sent; the others get its answer, and hold no slot while they wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVarTuple, Unpack

import orjson

from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.json_data import exact_json
from gateway_batch.response_cache.store import AnswerStore, Claim, Found, Outbox, StoreError

# Failures that hold for the rest of a query: they would come again the same way, or the attempts that a request has are
# used up, and neither another row nor another try of the task makes more. What was not tried, or only waited, is tried
# again.
KEPT = frozenset(ErrorKind) - {ErrorKind.BUDGET, ErrorKind.CANCELLED, ErrorKind.RATE_LIMIT}

_SOONEST_S, _LATEST_S = 0.002, 0.05
_PART_OF_A_REQUEST = 0.5
_ASK_AGAIN_S = 0.05

_EXACT = "exact"
"""The member of a kept answer that has its JSON as text."""

_log = logging.getLogger(__name__)

Outcome = Any | CallError
Send = Callable[[Sequence[int]], Awaitable[Sequence[Outcome]]]
Ts = TypeVarTuple("Ts")


class SingleFlight:
    """Single-flight: sends each distinct request once per scope. Belongs to one event loop.

    Args:
        store: of the scope, shared with other processes.
        keep_failures: whether a failure is kept as an answer for the rest of the query.

    Attributes:
        sent: prompts or texts that were sent from here.
        saved: prompts or texts that were not sent, as their answers were there.
        requests: that had those sent; who sends several texts in one, for `answer_all`, counts it.
    """

    def __init__(self, store: AnswerStore, *, keep_failures: bool) -> None:
        self._store = store
        self._keep_failures = keep_failures
        self._loop = asyncio.get_running_loop()
        self._in_flight: dict[bytes, asyncio.Future[tuple[Any] | None] | None] = {}
        """Requests that this process is working on; a future where another waits for one."""
        self._asked: dict[bytes, asyncio.Future[Found]] = {}
        self._outbox = Outbox()
        self._timer: asyncio.TimerHandle | None = None
        self._exchange: asyncio.Task[None] | None = None
        self._warned = False
        self._took_s = 0.0
        self._taken = (0, 0, 0)
        self.sent = 0
        self.saved = 0
        self.requests = 0

    async def answer(self, key: bytes, send: Callable[[Unpack[Ts]], Awaitable[Any]], *arguments: *Ts) -> Any:
        """The answer to one request: a kept one, or what `send` returns.

        Raises:
            CallError: what `send` raised, or a kept failure.
        """
        while key in self._in_flight:
            if (resolved := await self._answer_in_flight(key)) is not None:
                self.saved += 1
                return resolved[0]
        self._in_flight[key] = resolved = None
        try:
            found = await self._ask(key)
            while found is Claim.HELD:
                await asyncio.sleep(_ASK_AGAIN_S)
                found = await self._ask(key)
            if found is Claim.MINE:
                self.sent += 1
                self.requests += 1
                started = self._loop.time()
                try:
                    value = await send(*arguments)
                except CallError as error:
                    self._settle(key, error)
                    raise
                self._took_s = self._loop.time() - started
                self._settle(key, value)
            else:
                self.saved += 1
                value = _decoded(found)
                if isinstance(value, CallError):
                    raise value
            resolved = (value,)
            return value
        except CallError:
            raise
        except BaseException:
            self._give_up((key,))
            raise
        finally:
            self._resolve(key, resolved)

    async def answer_all(self, keys: Sequence[bytes], send: Send) -> list[Outcome]:
        """The answers to several requests; those that nobody has asked go to `send` together.

        Args:
            keys: of the requests; the same one may stand twice.
            send: takes places in `keys`; returns their outcomes.
        """
        found: dict[bytes, Outcome] = {}
        waiting = list(dict.fromkeys(keys))
        self.saved += len(keys) - len(waiting)
        while waiting:
            if free := [key for key in waiting if key not in self._in_flight]:
                await self._claim_and_send(free, keys, send, found)
            else:
                await self._answer_in_flight(waiting[0])
            waiting = [key for key in waiting if key not in found]
        return [found[key] for key in keys]

    async def flush(self) -> None:
        """Waits until what is done and given up is written."""
        while self._exchange is not None or self._outbox:
            if self._exchange is None:
                self._start_exchange()
            assert self._exchange is not None
            await asyncio.wait([self._exchange])

    async def close(self) -> None:
        """Writes what is done, gives up all claims, and lets the store go."""
        await self.flush()
        if self._timer is not None:
            self._timer.cancel()
        await self._store.close()

    def take_counts(self) -> tuple[int, int, int]:
        """`sent`, `saved` and `requests` since it was last asked."""
        before, self._taken = self._taken, (self.sent, self.saved, self.requests)
        return self.sent - before[0], self.saved - before[1], self.requests - before[2]

    async def _claim_and_send(
        self, free: Sequence[bytes], keys: Sequence[bytes], send: Send, found: dict[bytes, Outcome]
    ) -> None:
        """Claims keys and sends those that are ours to send; then waits, with no claim, for those that others hold."""
        self._in_flight |= dict.fromkeys(free)
        unresolved = list(free)
        try:
            while unresolved:
                asked = [(key, self._ask(key)) for key in unresolved]
                stands = {key: await answer for key, answer in asked}
                if mine := [key for key, stand in stands.items() if stand is Claim.MINE]:
                    self.sent += len(mine)
                    started = self._loop.time()
                    outcomes = await send([keys.index(key) for key in mine])
                    self._took_s = self._loop.time() - started
                    for key, outcome in zip(mine, outcomes, strict=True):
                        found[key] = outcome
                        self._settle(key, outcome)
                for key, stand in stands.items():
                    if isinstance(stand, bytes):
                        found[key] = _decoded(stand)
                        self.saved += 1
                unresolved, asked_for = [key for key in unresolved if key not in found], unresolved
                for key in found.keys() & set(asked_for):
                    self._resolve(key, None if isinstance(found[key], CallError) else (found[key],))
                if unresolved:
                    await asyncio.sleep(_ASK_AGAIN_S)
        except BaseException:
            self._give_up(key for key in unresolved if key not in found)
            raise
        finally:
            for key in unresolved:
                self._resolve(key, None)

    def _answer_in_flight(self, key: bytes) -> asyncio.Future[tuple[Any] | None]:
        """The answer that this process is waiting for; None if there will be none to share."""
        future = self._in_flight[key]
        if future is None:
            future = self._in_flight[key] = self._loop.create_future()
        return asyncio.shield(future)

    def _resolve(self, key: bytes, resolved: tuple[Any] | None) -> None:
        if (future := self._in_flight.pop(key)) is not None:
            future.set_result(resolved)

    def _ask(self, key: bytes) -> asyncio.Future[Found]:
        """How a request stands. What several callers ask is asked together."""
        future = self._asked[key] = self._loop.create_future()
        self._wake()
        return future

    def _settle(self, key: bytes, outcome: Outcome) -> None:
        if not isinstance(outcome, CallError):
            self._outbox.answers.append((key, _encoded(outcome)))
        elif self._keep_failures and outcome.kind in KEPT:
            failure = {
                "kind": outcome.kind,
                "message": str(outcome),
                "status": outcome.status,
                "event_id": outcome.event_id,
            }
            self._outbox.failures.append((key, orjson.dumps(failure)))
        else:
            self._outbox.released.append(key)
        self._wake()

    def _give_up(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            self._asked.pop(key, None)
            self._outbox.released.append(key)
        self._wake()

    def _wake(self) -> None:
        """Exchanges soon: not at once, as a store's transaction costs much the same for one request and for ten.

        A caller waits as long, so it is a part of what a request takes: with two callers a slot no slot is idle.
        """
        if self._timer is None and self._exchange is None:
            delay_s = min(max(self._took_s * _PART_OF_A_REQUEST, _SOONEST_S), _LATEST_S)
            self._timer = self._loop.call_later(delay_s, self._start_exchange)

    def _start_exchange(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._exchange = self._loop.create_task(self._exchange_once())

    async def _exchange_once(self) -> None:
        """One at a time: a claim that is given up but still written down would look as if it were ours."""
        outbox, self._outbox = self._outbox, Outbox()
        asked, self._asked = self._asked, {}
        stands: Sequence[Found] = [Claim.MINE] * len(asked)
        try:
            stands = await self._store.exchange(outbox, list(asked))
        except StoreError as error:
            self._warn(error)
        except BaseException:
            self._outbox.put_back(outbox)
            raise
        finally:
            self._exchange = None
            for future, stand in zip(asked.values(), stands, strict=True):
                if not future.done():  # cancelled: what it would have claimed is given up with it
                    future.set_result(stand)
            if self._asked or self._outbox:
                self._wake()

    def _warn(self, error: StoreError) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("answers can't be shared for now, so identical requests may be sent again: %s", error)


def _encoded(value: Any) -> bytes:
    try:
        return orjson.dumps({"value": value})
    except TypeError:  # Decimals
        return orjson.dumps({_EXACT: exact_json.dumps(value)})


def _decoded(answer: bytes) -> Outcome:
    kept = orjson.loads(answer)
    if _EXACT in kept:
        return exact_json.loads(kept[_EXACT].encode())
    if "kind" in kept:
        error = CallError(ErrorKind(kept["kind"]), kept["message"], status=kept["status"])
        error.event_id = kept["event_id"]
        return error
    return kept["value"]
