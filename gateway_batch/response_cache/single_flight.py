"""Single flight: of identical requests one is sent; the others get its outcome, and hold no slot while they wait."""

from __future__ import annotations

import asyncio
import copy
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVarTuple, Unpack

from gateway_batch.errors import CallError, ErrorKind, UnreachableError
from gateway_batch.response_cache.kept_answers import Fits, NotUnderstoodError, decoded, encoded, encoded_failure
from gateway_batch.response_cache.store import AnswerStore, Claim, Found, Outbox, StoreError

# Failures that hold for the rest of a query: they would come again the same way, or the attempts that a request has are
# used up, and neither another row nor another try of the task makes more. What was not tried, or only waited, is tried
# again.
KEPT = frozenset(ErrorKind) - {ErrorKind.BUDGET, ErrorKind.CANCELLED, ErrorKind.RATE_LIMIT}

_SOONEST_S, _LATEST_S = 0.002, 0.05
_PART_OF_A_REQUEST = 0.5
_ASK_AGAIN_S = 0.05

_HEARS_WHY_S = 0.25
"""How long one that waits, past its deadline, hears why the request it waits for failed: as a rule, the deadline's."""

_NOT_SHARED = "answers can't be shared for now, so identical requests may be sent again"

_log = logging.getLogger(__name__)

Outcome = Any | CallError
Resolved = tuple[Outcome] | None
Send = Callable[[Sequence[int]], Awaitable[Sequence[Outcome]]]
Ts = TypeVarTuple("Ts")


class SingleFlight:
    """Single-flight: sends each distinct request once per scope. Belongs to one event loop.

    Args:
        store: of the scope, shared with other processes.
        keep_failures: whether a failure is kept as an answer for the rest of the query.
        row_deadline_s: how long a request is waited for that another row or process has in flight.

    Attributes:
        sent: prompts or texts that were sent from here.
        saved: prompts or texts that were not sent, as their answers were there.
        requests: that had those sent; who sends several texts in one, for `answer_all`, counts it.
    """

    def __init__(self, store: AnswerStore, *, keep_failures: bool, row_deadline_s: float = math.inf) -> None:
        self._store = store
        self._keep_failures = keep_failures
        self._row_deadline_s = row_deadline_s
        self._loop = asyncio.get_running_loop()
        self._in_flight: dict[bytes, asyncio.Future[Resolved] | None] = {}
        """Requests that this process is working on; a future where another waits for one."""
        self._asked: dict[bytes, asyncio.Future[Found]] = {}
        self._outbox = Outbox()
        self._timer: asyncio.TimerHandle | None = None
        self._exchange: asyncio.Task[None] | None = None
        self._warned: set[str] = set()
        self._took_s = 0.0
        self._taken = (0, 0, 0)
        self.sent = 0
        self.saved = 0
        self.requests = 0

    async def answer(
        self, key: bytes, send: Callable[[Unpack[Ts]], Awaitable[Any]], *arguments: *Ts, fits: Fits | None = None
    ) -> Any:
        """The answer to one request: a kept one, or what `send` returns.

        Args:
            key: of the request.
            send: sends it; has a deadline of its own.
            arguments: of `send`.
            fits: whether a kept value is one that `send` could have returned; None: any is.

        Raises:
            CallError: what `send` raised, here or for an identical request that was waited for, or a kept failure; of
                kind `deadline` where `row_deadline_s` passed in waiting.
        """
        deadline = self._loop.time() + self._row_deadline_s
        while key in self._in_flight:
            resolved = await self._outcome_in_flight(key, deadline)
            if resolved is not None and not self._may_try(resolved[0], deadline):
                self.saved += _was_sent(resolved[0])
                return _value(copy.copy(resolved[0]) if isinstance(resolved[0], CallError) else resolved[0])
        self._in_flight[key] = resolved = None
        try:
            found = await self._ask(key)
            while found is Claim.HELD:
                if self._loop.time() >= deadline:
                    raise _held_elsewhere()
                await asyncio.sleep(_ASK_AGAIN_S)
                found = await self._ask(key)
            outcome = found if found is Claim.MINE else self._kept(found, fits)
            if outcome is Claim.MINE:
                self.sent += 1
                self.requests += 1
                started = self._loop.time()
                try:
                    outcome = await send(*arguments)
                except CallError as error:
                    self.sent -= not error.was_sent
                    self.requests -= not error.was_sent
                    resolved = _shared(error)
                    self._settle(key, error)
                    raise
                self._took_s = self._loop.time() - started
                self._settle(key, outcome)
            else:
                self.saved += 1
            resolved = (outcome,)
            return _value(outcome)
        except CallError:
            raise
        except BaseException:
            self._give_up((key,))
            raise
        finally:
            self._resolve(key, resolved)

    async def answer_all(self, keys: Sequence[bytes], send: Send, fits: Fits | None = None) -> list[Outcome]:
        """The answers to several requests; those that nobody has asked go to `send` together.

        Args:
            keys: of the requests; the same one may stand twice.
            send: takes places in `keys`; returns their outcomes.
            fits: whether a kept value is one that `send` could have returned; None: any is.
        """
        found: dict[bytes, Outcome] = {}
        batch = _Batch(keys, send, fits, found, self._loop.time() + self._row_deadline_s)
        waiting = list(dict.fromkeys(keys))
        self.saved += len(keys) - len(waiting)
        while waiting:
            in_flight = {key: self._future(key) for key in waiting if key in self._in_flight}
            if free := [key for key in waiting if key not in in_flight]:
                await self._claim_and_send(free, batch)
            if in_flight:
                await self._wait_for(in_flight, batch)
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

    async def _claim_and_send(self, free: Sequence[bytes], batch: _Batch) -> None:
        """Claims keys and sends those that are ours to send; then waits, with no claim, for those that others hold."""
        found = batch.found
        self._in_flight |= dict.fromkeys(free)
        unresolved = list(free)
        try:
            while unresolved:
                is_last = self._loop.time() >= batch.deadline
                asked = [(key, self._ask(key)) for key in unresolved]
                stands = {key: self._kept(await answer, batch.fits) for key, answer in asked}
                if mine := [key for key, stand in stands.items() if stand is Claim.MINE]:
                    self.sent += len(mine)
                    started = self._loop.time()
                    outcomes = await batch.send([batch.keys.index(key) for key in mine])
                    self._took_s = self._loop.time() - started
                    self.sent -= sum(not _was_sent(outcome) for outcome in outcomes)
                    for key, outcome in zip(mine, outcomes, strict=True):
                        found[key] = outcome
                        self._settle(key, outcome)
                for key, stand in stands.items():
                    if not isinstance(stand, Claim):
                        found[key] = stand
                        self.saved += 1
                unresolved, asked_for = [key for key in unresolved if key not in found], unresolved
                for key in found.keys() & set(asked_for):
                    self._resolve(key, _shared(found[key]))
                if unresolved and is_last:
                    found |= {key: _held_elsewhere() for key in unresolved}
                    return
                if unresolved:
                    await asyncio.sleep(_ASK_AGAIN_S)
        except BaseException:
            self._give_up(key for key in unresolved if key not in found)
            raise
        finally:
            for key in unresolved:
                self._resolve(key, None)

    async def _wait_for(self, in_flight: dict[bytes, asyncio.Future[Resolved]], batch: _Batch) -> None:
        """Waits for requests that other calls of this process have in flight; takes outcomes that are shared."""
        left_s = batch.deadline + _HEARS_WHY_S - self._loop.time()
        await asyncio.wait(in_flight.values(), timeout=None if math.isinf(left_s) else max(0.0, left_s))
        for key, future in in_flight.items():
            if not future.done():
                batch.found[key] = _held_here()
            elif (resolved := future.result()) is not None and not self._may_try(resolved[0], batch.deadline):
                batch.found[key] = resolved[0]
                self.saved += _was_sent(resolved[0])

    async def _outcome_in_flight(self, key: bytes, deadline: float) -> Resolved:
        """The outcome that this process is waiting for; None if there will be none to share.

        Raises:
            UnreachableError: of kind `deadline`, if there is none by then.
        """
        future = self._future(key)
        if math.isinf(deadline):
            return await asyncio.shield(future)
        try:
            async with asyncio.timeout_at(deadline + _HEARS_WHY_S):
                return await asyncio.shield(future)
        except TimeoutError:
            raise _held_here() from None

    def _may_try(self, outcome: Outcome, deadline: float) -> bool:
        """Whether who waited for an outcome sends itself: another row's time was over, and not its own."""
        is_late = isinstance(outcome, CallError) and outcome.kind is ErrorKind.DEADLINE
        return is_late and self._loop.time() < deadline < math.inf

    def _future(self, key: bytes) -> asyncio.Future[Resolved]:
        """Of a request that is in flight."""
        future = self._in_flight[key]
        if future is None:
            future = self._in_flight[key] = self._loop.create_future()
        return future

    def _resolve(self, key: bytes, resolved: Resolved) -> None:
        if (future := self._in_flight.pop(key)) is not None:
            future.set_result(resolved)

    def _kept(self, found: Found, fits: Fits | None) -> Outcome:
        """A request's claim, or its outcome as it was kept; one that is not understood counts as not kept."""
        if isinstance(found, Claim):
            return found
        try:
            return decoded(found, fits)
        except NotUnderstoodError as error:
            self._warn(f"a kept answer is not understood, so its request is sent, and its answer kept instead: {error}")
            return Claim.MINE

    def _ask(self, key: bytes) -> asyncio.Future[Found]:
        """How a request stands. What several callers ask is asked together."""
        future = self._asked[key] = self._loop.create_future()
        self._wake()
        return future

    def _settle(self, key: bytes, outcome: Outcome) -> None:
        if not isinstance(outcome, CallError):
            if (answer := encoded(outcome)) is not None:
                self._outbox.answers.append((key, answer))
            else:
                self._outbox.released.append(key)
        elif self._keep_failures and outcome.kind in KEPT and not _is_only_late(outcome):
            self._outbox.failures.append((key, encoded_failure(outcome)))
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
            self._warn(f"{_NOT_SHARED}: {error}")
        except Exception as error:
            self._warn(f"{_NOT_SHARED}: their store failed with {type(error).__name__}")
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

    def _warn(self, text: str) -> None:
        subject = text.partition(":")[0]
        if subject not in self._warned:
            self._warned.add(subject)
            _log.warning("%s", text)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one `answer_all` asks, and what it has found so far."""

    keys: Sequence[bytes]
    send: Send
    fits: Fits | None
    found: dict[bytes, Outcome]
    deadline: float


def _shared(outcome: Outcome) -> Resolved:
    """What those get who waited for a request: its failure too, unless only its own row was stopped."""
    return None if isinstance(outcome, CallError) and outcome.kind is ErrorKind.CANCELLED else (outcome,)


def _is_only_late(error: CallError) -> bool:
    """Whether it is of a request that its row's time was too short for: another try may have more."""
    return error.kind is ErrorKind.DEADLINE and not error.was_sent


def _was_sent(outcome: Outcome) -> bool:
    return outcome.was_sent if isinstance(outcome, CallError) else True


def _value(outcome: Outcome) -> Any:
    if isinstance(outcome, CallError):
        raise outcome
    return outcome


def _held_here() -> UnreachableError:
    return UnreachableError(
        ErrorKind.DEADLINE, "the row's deadline passed while another row's identical request was in flight"
    )


def _held_elsewhere() -> UnreachableError:
    return UnreachableError(
        ErrorKind.DEADLINE,
        "the row's deadline passed while another process had the identical request in flight; one that was stopped "
        "keeps its requests until it continues or ends",
    )
