"""How limits that hold for all tasks together are shared out: the rules, without store, network or clock.

The processes of a scope share a `LeaseState`. A process is a *member*: now and then it reports what it has used since
its last request and what it wants, and gets a lease: slots, and a number of requests that it may send until it asks
again (`exchange`). Between two exchanges nothing is shared, so the store is off the way of a row.

A member's lease lapses after `LASTS_S` unless it renews it; the state takes it back later, after `LOST_AFTER_S`, and
counts what the member may have sent meanwhile as sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from gateway_batch.admission.amount import NOTHING, Amount

LASTS_S = 5.0
LOST_AFTER_S = 10.0

MOST = 1e18
"""No amount is larger: sums stay numbers that JSON has."""

BUDGETS = ("max_requests", "max_total_tokens", "max_cost_usd")

_ALL = Amount(MOST, MOST, MOST)
_EVERY_S, _EVERY_S_PER_MEMBER, _EVERY_S_AT_MOST = 0.2, 0.01, 2.0
_BURST_S = 0.5
_MINUTE_S = 61.0  # what a bucket holds comes on top: so no 60 s see more than a minute's worth


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for all members together; None is no limit.

    Attributes:
        concurrency: requests in flight at once; None also where something else shares them out.
        requests_per_minute: requests sent in any 60 seconds.
        tokens_per_minute: tokens of all requests, reserved by estimate and settled by what was used.
        max_requests: in all.
        max_total_tokens: in all; what is in flight as it is reached comes on top.
        max_cost_usd: in all, likewise.
    """

    concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_requests: int | None = None
    max_total_tokens: int | None = None
    max_cost_usd: float | None = None

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return self != NO_LIMITS

    @property
    def counts_requests(self) -> bool:
        """Whether a member needs an allowance for each request, besides a slot."""
        return (self.requests_per_minute, self.max_requests) != (None, None) or self.counts_tokens

    @property
    def counts_tokens(self) -> bool:
        """Whether the tokens of a request matter before it is sent."""
        return (self.tokens_per_minute, self.max_total_tokens, self.max_cost_usd) != (None, None, None)

    @property
    def flow(self) -> str:
        """Members of equal flow share slots and rates."""
        return f"{self.concurrency}/{self.requests_per_minute}/{self.tokens_per_minute}"


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """What a member reports and wants.

    Attributes:
        member: its name.
        number: of the request. One that is repeated, as its answer was lost, gets that answer, and counts once.
        limits: in force for it.
        budget: what shares its budget.
        pool: id of the state that answered its last request; None before the first.
        spent_before: of that budget, as that state had it.
        in_use: slots it uses.
        wants_slots: those included.
        sent: since its last request, by estimate.
        settled: what ended since then, as it turned out.
        estimated: what had been estimated for that.
        in_flight: what has not ended yet, by estimate.
        kept: requests that its lease before allows and it has not sent.
        waiting: requests that wait for an allowance.
        spare: further ones that it could send before it asks again, what is kept included.
        need: of one waiting request, on average.
    """

    member: str
    number: int
    limits: Limits
    budget: str
    pool: str | None = None
    spent_before: Amount = NOTHING
    in_use: int = 0
    wants_slots: int = 0
    sent: Amount = NOTHING
    settled: Amount = NOTHING
    estimated: Amount = NOTHING
    in_flight: Amount = NOTHING
    kept: int = 0
    waiting: int = 0
    spare: int = 0
    need: Amount = NOTHING


@dataclass(frozen=True, slots=True)
class Lease:
    """What a member may do until it asks again.

    Attributes:
        pool: id of the state. Its name is that of version 0.1, whose processes may read the same state.
        slots: requests in flight at once, in place of the lease before.
        requests: that may be sent, on top of those it kept.
        spent: of the budget, by all.
        refusal: the budget that is spent, e.g. `max_requests`; None while there is some left.
        next_s: when to ask again, at the latest.
    """

    pool: str
    slots: int
    requests: int
    spent: Amount
    refusal: str | None
    next_s: float


@dataclass(slots=True)
class Member:
    """What is known of a member."""

    flow: str
    budget: str
    number: int = 0
    seen_at: float = 0.0
    served_at: float = 0.0
    slots: int = 0
    wants_slots: int = 0
    waiting: int = 0
    in_flight: Amount = NOTHING
    granted: Amount = NOTHING
    answer: Lease | None = None


@dataclass(slots=True)
class Flow:
    """Two buckets that refill evenly. What was granted is in there until its use is reported."""

    requests: float
    tokens: float
    filled_at: float


@dataclass(slots=True)
class LeaseState:
    """What is shared, as JSON wherever it is kept."""

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    flows: dict[str, Flow] = field(default_factory=dict)
    spent: dict[str, Amount] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)

    def as_json(self) -> bytes:
        """To keep it."""
        return orjson.dumps(self)


def exchange(state: LeaseState, request: LeaseRequest, now: float) -> Lease:
    """Counts what a member reports, and grants what it may do; changes the state.

    Args:
        state: shared by all.
        request: one member's.
        now: seconds of a clock that all requests are read by.
    """
    limits = request.limits
    member = state.members.get(request.member)
    if member is not None and member.number == request.number and member.answer is not None:
        member.seen_at = now
        return member.answer
    _drop_lost(state, now)
    lost_its_state = request.pool not in (None, state.id)
    if lost_its_state:
        state.spent[request.budget] = Amount.most(state.spent.get(request.budget, NOTHING), request.spent_before)
    flow = _drained(state, limits, now, request.sent, empty=lost_its_state)
    _correct(flow, limits, request.settled.tokens - request.estimated.tokens)
    spent = _spend(state, request.budget, request.settled)
    member = state.members.setdefault(request.member, Member(limits.flow, request.budget))
    member.number, member.seen_at = request.number, now
    member.wants_slots, member.waiting = request.wants_slots, request.waiting
    member.in_flight = request.in_flight
    member.granted = Amount.least(request.need.times(request.kept), _ALL)
    slots = _slots(state, member, limits.concurrency)
    member.slots = max(request.in_use, slots)
    if slots:
        member.served_at = now
    requests = _requests(state, member, request, flow)
    member.granted = Amount.least(member.granted + request.need.times(requests), _ALL)
    refusal = _spent_budget(spent, limits)
    every_s = min(_EVERY_S_AT_MOST, max(_EVERY_S, _EVERY_S_PER_MEMBER * len(state.members)))
    member.answer = Lease(state.id, slots, requests, spent, refusal, every_s)
    return member.answer


def _drop_lost(state: LeaseState, now: float) -> None:
    """Forgets members that were not heard of for long; what they may have sent counts as sent."""
    for name, member in list(state.members.items()):
        if abs(now - member.seen_at) > LOST_AFTER_S:  # seen by a clock that is another one now, if later
            del state.members[name]
            _spend(state, member.budget, member.in_flight + member.granted)
            if (flow := state.flows.get(member.flow)) is not None:
                flow.requests = max(-MOST, flow.requests - member.granted.requests)
                flow.tokens = max(-MOST, flow.tokens - member.granted.tokens)


def _spend(state: LeaseState, budget: str, more: Amount) -> Amount:
    spent = state.spent[budget] = Amount.least(state.spent.get(budget, NOTHING) + more, _ALL)
    return spent


def _drained(state: LeaseState, limits: Limits, now: float, sent: Amount, *, empty: bool) -> Flow:
    """The buckets after what flowed in and what was taken. Where the state before was lost, they start empty."""
    requests_a_minute, tokens_a_minute = limits.requests_per_minute or 0, limits.tokens_per_minute or 0
    most_requests, most_tokens = _burst(requests_a_minute), _burst(tokens_a_minute)
    flow = state.flows.get(limits.flow)
    if flow is None:
        flow = state.flows[limits.flow] = Flow(0 if empty else most_requests, 0 if empty else most_tokens, now)
    minutes = max(0.0, now - flow.filled_at) / _MINUTE_S
    flow.requests = max(-MOST, min(most_requests, flow.requests + minutes * requests_a_minute - sent.requests))
    flow.tokens = max(-MOST, min(most_tokens, flow.tokens + minutes * tokens_a_minute - sent.tokens))
    flow.filled_at = now
    return flow


def _correct(flow: Flow, limits: Limits, more: float) -> None:
    """Takes what answers took beyond the estimates, or gives back what they left.

    That alone makes the bucket owe a minute's worth at most: services count by the minute, and one answer's claim must
    not stop all others for longer.
    """
    a_minute = limits.tokens_per_minute or 0
    least = min(flow.tokens, -a_minute) if more > 0 else -MOST
    flow.tokens = min(_burst(a_minute), max(least, flow.tokens - more))


def _burst(per_minute: int) -> float:
    return 1 + per_minute / _MINUTE_S * _BURST_S


def _slots(state: LeaseState, member: Member, total: int | None) -> int:
    """A member's fair share of the slots, as far as the others have let theirs go."""
    if total is None:
        return 0
    alike = [each for each in state.members.values() if each.flow == member.flow]
    held = sum(each.slots for each in alike if each is not member)
    return max(0, min(_fair_share(member, alike, total), total - held))


def _fair_share(member: Member, members: Iterable[Member], total: int) -> int:
    """Who wants least gets it, the others equal parts of the rest. Too many for one each take turns."""
    wanting = [each for each in members if each.wants_slots]
    if len(wanting) > total:
        turn = sorted(wanting, key=lambda each: each.served_at)[:total]
        return int(any(each is member for each in turn))
    left = total
    for place, each in enumerate(sorted(wanting, key=lambda each: each.wants_slots)):
        share = min(each.wants_slots, left // (len(wanting) - place))
        if each is member:
            return share
        left -= share
    return 0


def _requests(state: LeaseState, member: Member, request: LeaseRequest, flow: Flow) -> int:
    """How many more requests a member may send: of each limit its share of what is neither used nor granted."""
    limits, need = request.limits, request.need
    wanted = max(0, request.waiting + request.spare - request.kept)
    in_flow = [each for each in state.members.values() if each.flow == member.flow]
    in_budget = [each for each in state.members.values() if each.budget == member.budget]
    granted = _sum(each.granted for each in in_flow)
    if limits.requests_per_minute is not None:
        wanted = _share(flow.requests - granted.requests, member, in_flow, wanted)
    if limits.tokens_per_minute is not None and need.tokens > 0:
        fit = (flow.tokens - granted.tokens) / need.tokens
        if fit < 1 and not granted.requests and flow.tokens >= _burst(limits.tokens_per_minute):
            fit = 1  # more than the bucket ever holds: it goes when the bucket is full
        wanted = _share(fit, member, in_flow, wanted)
    left = _left(state.spent[request.budget], request, in_budget)
    return wanted if left is None else _share(left, member, in_budget, wanted)


def _left(spent: Amount, request: LeaseRequest, members: list[Member]) -> float | None:
    """Requests that the budget has left, beyond what is in flight or granted; None without a budget."""
    limits, need = request.limits, request.need
    if _spent_budget(spent, limits) is not None:
        return 0
    reserved = _sum(each.in_flight + each.granted for each in members)
    used = spent + reserved
    of_each = (
        (limits.max_requests, used.requests, need.requests),
        (limits.max_total_tokens, used.tokens, need.tokens),
        (limits.max_cost_usd, used.cost_usd, need.cost_usd),
    )
    fits = [(most - taken) / each for most, taken, each in of_each if most is not None and each > 0]
    if not fits:
        return None
    if min(fits) < 1 and not reserved.requests:
        return 1  # there is some left: the last request may take more than that
    return min(fits)


def _spent_budget(spent: Amount, limits: Limits) -> str | None:
    if limits.max_requests is not None and spent.requests >= limits.max_requests:
        return "max_requests"
    if limits.max_total_tokens is not None and spent.tokens >= limits.max_total_tokens:
        return "max_total_tokens"
    if limits.max_cost_usd is not None and spent.cost_usd >= limits.max_cost_usd:
        return "max_cost_usd"
    return None


def _share(available: float, member: Member, members: list[Member], wanted: int) -> int:
    """Of what is there, the part of one of those that wait."""
    rivals = sum(1 for each in members if each.waiting and each is not member)
    if available < 1 or (rivals and not member.waiting):
        return 0
    return min(wanted, max(1, int(min(available, MOST) / (rivals + 1))))


def _sum(amounts: Iterable[Amount]) -> Amount:
    total = NOTHING
    for amount in amounts:
        total += amount
    return total
