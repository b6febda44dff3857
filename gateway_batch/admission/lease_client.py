"""This process's part of the limits that hold for all tasks together: its lease, and what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from typing import Protocol

from gateway_batch.admission.amount import NOTHING, ONE_REQUEST, Amount
from gateway_batch.admission.leases import LASTS_S, Lease, LeaseRequest, Limits
from gateway_batch.errors import CallError, ErrorKind

_SPARE = 16
_SOONEST = 0.2  # of the time until the lease is to be renewed
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 2.0
_LEAVE_WITHIN_S = 2.0
_BEARS_REFUSALS_S = 10.0

_log = logging.getLogger(__name__)


class LeaseStoreUnreachableError(Exception):
    """The store can't be reached now; its text says why, and names no secret."""


class LeaseStoreRefusedError(LeaseStoreUnreachableError):
    """The store was reached and is of no use: waiting alone won't help. Its text says why, and names no secret."""


class LeaseStore(Protocol):
    """Where the lease state is kept that all processes share."""

    async def exchange(self, request: LeaseRequest) -> Lease:
        """Answers one request.

        Raises:
            LeaseStoreUnreachableError: not now.
            LeaseStoreRefusedError: nor later, unless somebody sees to it.
        """
        ...

    async def close(self) -> None:
        """Lets the connection go."""
        ...


class LeaseClient:
    """Renews this process's lease now and then, and says at once whether a request may be sent.

    Without an answer for `LASTS_S` the lease has lapsed: nothing is sent until there is one. After `_BEARS_REFUSALS_S`
    of refusals those that wait are refused as well. Belongs to one event loop.

    Args:
        limits: in force.
        budget: names what shares the budget.
        store: of the lease state; closed at the end.
        clock: monotonic seconds, the loop's own.
        granted: is called when there is more to be had.
    """

    def __init__(
        self,
        limits: Limits,
        budget: str,
        store: LeaseStore,
        clock: Callable[[], float],
        granted: Callable[[], None],
    ) -> None:
        self.limits = limits
        self._budget = budget
        self._store = store
        self._clock = clock
        self._granted = granted
        self._name = secrets.token_hex(8)
        self._requests_made = 0
        self._unanswered: LeaseRequest | None = None
        self._lease: Lease | None = None
        self._last_lease: Lease | None = None  # of an earlier stay too
        self._lapses_at = 0.0
        self._allowance = 0  # requests that may still be sent under the lease
        self._in_use = 0
        self._sent = self._settled = self._estimated = self._in_flight = NOTHING
        self._sent_lately = 0
        self._waiting = 0
        self._need = ONE_REQUEST
        self._hurry = asyncio.Event()
        self._renewing: asyncio.Task[None] | None = None
        self._trouble: LeaseStoreUnreachableError | None = None
        self._refused_since: float | None = None

    def take(self, need: Amount) -> bool:
        """Takes an allowance, and a slot, for one request; False if there is none to have now."""
        if self._renewing is None:
            self._renewing = asyncio.get_running_loop().create_task(self._renew_until_idle())
        if self._lease is None or self._clock() >= self._lapses_at:
            return False
        if self.limits.concurrency is not None and self._in_use >= self._lease.slots:
            return False
        if self.limits.counts_requests:
            if not self._allowance:
                return False
            self._allowance -= 1
        self._in_use += 1
        self._sent_lately += 1
        self._sent += need
        self._in_flight += need
        if self.limits.counts_requests and 2 * self._allowance < self._spare():
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
        """Notes how many requests wait, and what one of them needs."""
        if waiting > self._waiting:
            self._hurry.set()
        self._waiting, self._need = waiting, need

    @property
    def refusal(self) -> CallError | None:
        """Why nothing more is sent at all; None while there is something left, or may be soon."""
        since = self._refused_since if isinstance(self._trouble, LeaseStoreRefusedError) else None
        if since is not None and self._has_lapsed(since + _BEARS_REFUSALS_S):
            return CallError(ErrorKind.BUDGET, f"nothing is sent, as the limits can't be asked for: {self._trouble}")
        spent = None if self._lease is None else self._lease.refusal
        if spent is None or self._lease is None:
            return None
        used = self._lease.spent
        values = {
            "max_requests": f"{used.requests:,.0f} requests were sent",
            "max_total_tokens": f"{used.tokens:,.0f} tokens were used",
            "max_cost_usd": f"{used.cost_usd:,.6f} USD were spent",
        }
        limit = getattr(self.limits, spent)
        return CallError(
            ErrorKind.BUDGET, f"the budget is spent: {spent} is {limit:,}, and {values[spent]}; nothing more is sent"
        )

    @property
    def trouble(self) -> str | None:
        """Why nothing can be sent for now, where the store is the cause."""
        if self._trouble is None or not self._has_lapsed(0.0):
            return None
        return f"the limits can't be asked for: {self._trouble}"

    def release(self) -> None:
        """Gives back what is not in use, soon, and renews no more until the next `take`."""
        self._sent_lately = 0
        self._hurry.set()

    async def close(self) -> None:
        """Reports what happened last, and gives everything back."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])
        if self._requests_made and self._refused_since is None:
            self._waiting = self._sent_lately = 0
            try:
                async with asyncio.timeout(_LEAVE_WITHIN_S):
                    if self._unanswered is not None:
                        await self._store.exchange(self._unanswered)
                    await self._store.exchange(self._next_request())
            except Exception as error:  # the store drops a member that is not heard of
                _log.debug("the last use was not reported: %s", type(error).__name__)
        await self._store.close()

    def _has_lapsed(self, at: float) -> bool:
        """Whether a time is over, and the lease too."""
        return self._clock() >= max(at, self._lapses_at)

    def _spare(self) -> int:
        return 2 * self._sent_lately + (_SPARE if self._waiting else 0)

    async def _renew_until_idle(self) -> None:
        try:
            while True:
                idle = not (self._waiting or self._in_use or self._sent_lately)
                await self._renew()
                if idle and not self._waiting:
                    return
                assert self._lease is not None
                await asyncio.sleep(_SOONEST * self._lease.next_s)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout((1 - _SOONEST) * self._lease.next_s):
                        await self._hurry.wait()
        finally:
            self._renewing = self._lease = None

    async def _renew(self) -> None:
        """Renews once, however long the answer takes."""
        request = self._unanswered = self._next_request()
        pause_s = _FIRST_PAUSE_S
        while True:
            requested_at = self._clock()
            try:
                lease = await self._store.exchange(request)
                break
            except LeaseStoreUnreachableError as error:
                self._note(error)
            except Exception as error:
                self._note(LeaseStoreRefusedError(f"their store failed with {type(error).__name__}"))
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
        self._unanswered = self._refused_since = None
        if self._trouble is not None:
            self._trouble = None
            _log.warning("the limits' store answers again")
        if requested_at >= self._lapses_at:
            self._allowance = 0  # what was kept has lapsed
        self._lease = self._last_lease = lease
        self._lapses_at = requested_at + LASTS_S
        self._allowance += lease.requests
        self._granted()

    def _next_request(self) -> LeaseRequest:
        """What happened since the last request, and what is wanted now."""
        self._hurry.clear()
        self._requests_made += 1
        spare = self._spare()
        self._allowance = min(self._allowance, self._waiting + spare)
        before = self._last_lease
        request = LeaseRequest(
            self._name,
            self._requests_made,
            self.limits,
            self._budget,
            pool=None if before is None else before.pool,
            spent_before=NOTHING if before is None else before.spent,
            in_use=self._in_use,
            wants_slots=self._in_use + self._waiting,
            sent=self._sent,
            settled=self._settled,
            estimated=self._estimated,
            in_flight=Amount.most(NOTHING, self._in_flight),  # sums of fractions end a little off
            kept=self._allowance,
            waiting=self._waiting,
            spare=spare,
            need=Amount.most(NOTHING, self._need),
        )
        self._sent = self._settled = self._estimated = NOTHING
        self._sent_lately = 0
        return request

    def _note(self, error: LeaseStoreUnreachableError) -> None:
        if self._trouble is None:
            _log.warning("nothing more is sent until the limits' store answers again: %s", error)
        self._trouble = error
        if isinstance(error, LeaseStoreRefusedError) and self._refused_since is None:
            self._refused_since = self._clock()
