"""This process's part of the limits that hold for all tasks together: what it was granted, and what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from typing import Protocol

from gateway_batch.admission.amount import NOTHING, ONE_REQUEST, Amount
from gateway_batch.admission.leases import LASTS_S, Ask, Grant, Limits
from gateway_batch.errors import CallError, ErrorKind

_SPARE = 16
_SOONEST = 0.2  # of the time until the pool wants to be asked again
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 2.0
_LEAVE_WITHIN_S = 2.0

_log = logging.getLogger(__name__)


class PoolUnreachableError(Exception):
    """The pool can't be asked now; its text says why, and names no secret."""


class Pool(Protocol):
    """What is shared with other processes, wherever it is kept."""

    async def exchange(self, ask: Ask) -> Grant:
        """Answers one ask.

        Raises:
            PoolUnreachableError: not now.
        """
        ...

    async def close(self) -> None:
        """Lets the connection go."""
        ...


class Ration:
    """Asks the pool now and then, and says at once whether a request may be sent. Belongs to one event loop.

    Without an answer for `LASTS_S` its grant has lapsed: nothing is sent until there is one.

    Args:
        limits: in force.
        budget: names what shares the budget.
        pool: is asked, and closed at the end.
        clock: monotonic seconds, the loop's own.
        granted: is called when there is more to be had.
    """

    def __init__(
        self,
        limits: Limits,
        budget: str,
        pool: Pool,
        clock: Callable[[], float],
        granted: Callable[[], None],
    ) -> None:
        self.limits = limits
        self._budget = budget
        self._pool = pool
        self._clock = clock
        self._granted = granted
        self._name = secrets.token_hex(8)
        self._asks = 0
        self._unanswered: Ask | None = None
        self._grant: Grant | None = None
        self._last_grant: Grant | None = None  # of an earlier stay too: what the pool told then
        self._lapses_at = 0.0
        self._leave = 0  # requests that may still be sent under the grant
        self._in_use = 0
        self._sent = self._settled = self._estimated = self._in_flight = NOTHING
        self._sent_lately = 0
        self._waiting = 0
        self._need = ONE_REQUEST
        self._hurry = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None
        self._unreachable = False

    def take(self, need: Amount) -> bool:
        """Takes leave, and a slot, for one request; False if there is none to have now."""
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask_until_idle())
        if self._grant is None or self._clock() >= self._lapses_at:
            return False
        if self.limits.concurrency is not None and self._in_use >= self._grant.slots:
            return False
        if self.limits.counts_requests:
            if not self._leave:
                return False
            self._leave -= 1
        self._in_use += 1
        self._sent_lately += 1
        self._sent += need
        self._in_flight += need
        if self.limits.counts_requests and 2 * self._leave < self._spare():
            self._hurry.set()
        return True

    def give(self, estimated: Amount, used: Amount) -> None:
        """One request is over.

        Args:
            estimated: as it was taken.
            used: as it turned out.
        """
        self._in_use -= 1
        self._in_flight -= estimated
        self._estimated += estimated
        self._settled += used

    def wait(self, waiting: int, need: Amount) -> None:
        """Tells how many requests wait, and what one of them needs."""
        if waiting > self._waiting:
            self._hurry.set()
        self._waiting, self._need = waiting, need

    @property
    def refusal(self) -> CallError | None:
        """Why nothing more is sent at all; None while there is something left."""
        spent = None if self._grant is None else self._grant.refusal
        if spent is None or self._grant is None:
            return None
        used = self._grant.spent
        values = {
            "max_requests": f"{used.requests:,.0f} requests were sent",
            "max_total_tokens": f"{used.tokens:,.0f} tokens were used",
            "max_cost_usd": f"{used.cost_usd:,.6f} USD were spent",
        }
        limit = getattr(self.limits, spent)
        return CallError(
            ErrorKind.BUDGET, f"the budget is spent: {spent} is {limit:,}, and {values[spent]}; nothing more is sent"
        )

    def leave(self) -> None:
        """Gives back what is not in use, soon, and asks no more until the next `take`."""
        self._sent_lately = 0
        self._hurry.set()

    async def close(self) -> None:
        """Tells the last of what happened, and gives everything back."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        if self._asks:
            self._waiting = self._sent_lately = 0
            with contextlib.suppress(PoolUnreachableError, TimeoutError):
                async with asyncio.timeout(_LEAVE_WITHIN_S):
                    if self._unanswered is not None:
                        await self._pool.exchange(self._unanswered)
                    await self._pool.exchange(self._next_ask())
        await self._pool.close()

    def _spare(self) -> int:
        return 2 * self._sent_lately + (_SPARE if self._waiting else 0)

    async def _ask_until_idle(self) -> None:
        try:
            while True:
                idle = not (self._waiting or self._in_use or self._sent_lately)
                await self._ask()
                if idle and not self._waiting:
                    return
                assert self._grant is not None
                await asyncio.sleep(_SOONEST * self._grant.next_s)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout((1 - _SOONEST) * self._grant.next_s):
                        await self._hurry.wait()
        finally:
            self._asking = self._grant = None

    async def _ask(self) -> None:
        """Asks once, however long it takes to be answered."""
        ask = self._unanswered = self._next_ask()
        pause_s = _FIRST_PAUSE_S
        while True:
            asked_at = self._clock()
            try:
                grant = await self._pool.exchange(ask)
                break
            except PoolUnreachableError as error:
                self._warn(error)
                await asyncio.sleep(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
        self._unanswered = None
        if self._unreachable:
            self._unreachable = False
            _log.warning("the limits' pool answers again")
        if asked_at >= self._lapses_at:
            self._leave = 0  # what was kept has lapsed
        self._grant = self._last_grant = grant
        self._lapses_at = asked_at + LASTS_S
        self._leave += grant.requests
        self._granted()

    def _next_ask(self) -> Ask:
        """What happened since the last ask, and what is wanted now."""
        self._hurry.clear()
        self._asks += 1
        spare = self._spare()
        self._leave = min(self._leave, self._waiting + spare)
        before = self._last_grant
        ask = Ask(
            self._name,
            self._asks,
            self.limits,
            self._budget,
            pool=None if before is None else before.pool,
            spent_before=NOTHING if before is None else before.spent,
            in_use=self._in_use,
            wants_slots=self._in_use + self._waiting,
            sent=self._sent,
            settled=self._settled,
            estimated=self._estimated,
            in_flight=self._in_flight,
            kept=self._leave,
            waiting=self._waiting,
            spare=spare,
            need=self._need,
        )
        self._sent = self._settled = self._estimated = NOTHING
        self._sent_lately = 0
        return ask

    def _warn(self, error: PoolUnreachableError) -> None:
        if not self._unreachable:
            self._unreachable = True
            _log.warning("nothing more is sent until the limits' pool can be asked again: %s", error)
