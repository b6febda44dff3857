"""How limits that hold for all tasks together are shared out: the rules, without store, network or clock.

A *pool* is what the processes of a scope share. A process is a *member*: now and then it tells what it has used since
it last asked and what it wants, and is granted slots and a number of requests that it may send until it asks again
(`exchange`). Between two asks nothing is shared, so the store is off the way of a row.

A grant is a lease. One that a member does not renew lapses there after `LASTS_S`; the pool takes it back later, after
`LOST_AFTER_S`, and counts what the member may have sent meanwhile as sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway_batch.admission.amount import NOTHING, Amount

LASTS_S = 5.0
LOST_AFTER_S = 10.0

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
        """Whether a member needs leave for each request, beside a slot."""
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
class Ask:
    """What a member tells and wants.

    Attributes:
        member: its name.
        number: counts its asks. One that is repeated, as its answer was lost, gets that answer, and counts once.
        limits: in force for it.
        budget: what shares its budget.
        pool: id of the pool that answered its last ask; None before the first.
        spent_before: of that budget, as that pool told.
        in_use: slots it uses.
        wants_slots: those included.
        sent: since its last ask, by estimate.
        settled: what ended since then, as it turned out.
        estimated: what had been estimated for that.
        in_flight: what has not ended yet, by estimate.
        kept: leave for requests that it has from the grant before, and keeps.
        waiting: requests that wait for leave.
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
class Grant:
    """What a member may do until it asks again.

    Attributes:
        pool: the pool's id.
        slots: requests in flight at once, in place of the grant before.
        requests: that may be sent, beside those it kept leave for.
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
    """What the pool knows of a member."""

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
    answer: Grant | None = None


@dataclass(slots=True)
class Flow:
    """Two buckets that refill evenly. Leave that was granted is in there until its use is told."""

    requests: float
    tokens: float
    filled_at: float


@dataclass(slots=True)
class Pool:
    """What is shared, as JSON wherever it is kept."""

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    flows: dict[str, Flow] = field(default_factory=dict)
    spent: dict[str, Amount] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)

    def as_json(self) -> bytes:
        """To keep it."""
        return orjson.dumps(self)

    @classmethod
    def of_json(cls, kept: bytes | None) -> Pool:
        """A pool that was kept; a new one where none was."""
        if kept is None:
            return cls()
        known = orjson.loads(kept)
        return cls(
            known["id"],
            {key: Flow(**flow) for key, flow in known["flows"].items()},
            {key: Amount(**amount) for key, amount in known["spent"].items()},
            {key: _member_of(member) for key, member in known["members"].items()},
        )


def ask_of(known: dict[str, Any]) -> Ask:
    """An ask from its JSON object.

    Raises:
        KeyError, TypeError: it is none.
    """
    amounts = ("spent_before", "sent", "settled", "estimated", "in_flight", "need")
    return Ask(**known | {"limits": Limits(**known["limits"])} | {name: Amount(**known[name]) for name in amounts})


def grant_of(known: dict[str, Any]) -> Grant:
    """A grant from its JSON object.

    Raises:
        KeyError, TypeError: it is none.
    """
    return Grant(**known | {"spent": Amount(**known["spent"])})


def exchange(pool: Pool, ask: Ask, now: float) -> Grant:
    """Books what a member tells, and grants what it may do; changes the pool.

    Args:
        pool: shared by all.
        ask: one member's.
        now: seconds of a clock that all asks of the pool are read by.
    """
    limits = ask.limits
    member = pool.members.get(ask.member)
    if member is not None and member.number == ask.number and member.answer is not None:
        member.seen_at = now
        return member.answer
    _drop_lost(pool, now)
    lost_its_state = ask.pool not in (None, pool.id)
    if lost_its_state:
        pool.spent[ask.budget] = Amount.most(pool.spent.get(ask.budget, NOTHING), ask.spent_before)
    used_tokens = ask.sent.tokens + ask.settled.tokens - ask.estimated.tokens
    flow = _drained(pool, limits, now, ask.sent.requests, used_tokens, empty=lost_its_state)
    spent = pool.spent[ask.budget] = pool.spent.get(ask.budget, NOTHING) + ask.settled
    member = pool.members.setdefault(ask.member, Member(limits.flow, ask.budget))
    member.number, member.seen_at = ask.number, now
    member.wants_slots, member.waiting = ask.wants_slots, ask.waiting
    member.in_flight, member.granted = ask.in_flight, ask.need.times(ask.kept)
    slots = _slots(pool, member, limits.concurrency)
    member.slots = max(ask.in_use, slots)
    if slots:
        member.served_at = now
    requests = _requests(pool, member, ask, flow)
    member.granted += ask.need.times(requests)
    refusal = _spent_budget(spent, limits)
    every_s = min(_EVERY_S_AT_MOST, max(_EVERY_S, _EVERY_S_PER_MEMBER * len(pool.members)))
    member.answer = Grant(pool.id, slots, requests, spent, refusal, every_s)
    return member.answer


def _drop_lost(pool: Pool, now: float) -> None:
    """Forgets members that were not heard of for long; what they may have sent counts as sent."""
    for name, member in list(pool.members.items()):
        if now - member.seen_at > LOST_AFTER_S:
            del pool.members[name]
            pool.spent[member.budget] = pool.spent.get(member.budget, NOTHING) + member.in_flight + member.granted
            if (flow := pool.flows.get(member.flow)) is not None:
                flow.requests -= member.granted.requests
                flow.tokens -= member.granted.tokens


def _drained(pool: Pool, limits: Limits, now: float, requests: float, tokens: float, *, empty: bool) -> Flow:
    """The buckets after what flowed in and what was taken. Where an earlier pool's state was lost, they start empty."""
    requests_a_minute, tokens_a_minute = limits.requests_per_minute or 0, limits.tokens_per_minute or 0
    most_requests, most_tokens = _burst(requests_a_minute), _burst(tokens_a_minute)
    flow = pool.flows.get(limits.flow)
    if flow is None:
        flow = pool.flows[limits.flow] = Flow(0 if empty else most_requests, 0 if empty else most_tokens, now)
    minutes = max(0.0, now - flow.filled_at) / _MINUTE_S
    flow.requests = min(most_requests, flow.requests + minutes * requests_a_minute - requests)
    flow.tokens = min(most_tokens, flow.tokens + minutes * tokens_a_minute - tokens)
    flow.filled_at = now
    return flow


def _burst(per_minute: int) -> float:
    return 1 + per_minute / _MINUTE_S * _BURST_S


def _slots(pool: Pool, member: Member, total: int | None) -> int:
    """A member's fair share of the slots, as far as the others have let theirs go."""
    if total is None:
        return 0
    alike = [each for each in pool.members.values() if each.flow == member.flow]
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


def _requests(pool: Pool, member: Member, ask: Ask, flow: Flow) -> int:
    """How many more requests a member may send: of each limit its share of what is neither used nor granted."""
    limits, need = ask.limits, ask.need
    wanted = max(0, ask.waiting + ask.spare - ask.kept)
    in_flow = [each for each in pool.members.values() if each.flow == member.flow]
    in_budget = [each for each in pool.members.values() if each.budget == member.budget]
    granted = _sum(each.granted for each in in_flow)
    if limits.requests_per_minute is not None:
        wanted = _share(flow.requests - granted.requests, member, in_flow, wanted)
    if limits.tokens_per_minute is not None and need.tokens > 0:
        fit = (flow.tokens - granted.tokens) / need.tokens
        if fit < 1 and not granted.requests and flow.tokens >= _burst(limits.tokens_per_minute):
            fit = 1  # more than the bucket ever holds: it goes when the bucket is full
        wanted = _share(fit, member, in_flow, wanted)
    left = _left(pool.spent[ask.budget], ask, in_budget)
    return wanted if left is None else _share(left, member, in_budget, wanted)


def _left(spent: Amount, ask: Ask, members: list[Member]) -> float | None:
    """Requests that the budget has left, beyond what is in flight or granted; None without a budget."""
    limits, need = ask.limits, ask.need
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
    return min(wanted, max(1, int(available / (rivals + 1))))


def _sum(amounts: Iterable[Amount]) -> Amount:
    total = NOTHING
    for amount in amounts:
        total += amount
    return total


def _member_of(known: dict[str, Any]) -> Member:
    answer = known["answer"]
    return Member(
        **known
        | {"in_flight": Amount(**known["in_flight"]), "granted": Amount(**known["granted"])}
        | {"answer": None if answer is None else grant_of(answer)}
    )
