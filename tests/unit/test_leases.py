"""The rules by which limits are shared out, played with several members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from gateway_batch.admission.amount import NOTHING, ONE_REQUEST, Amount
from gateway_batch.admission.lease_json import LeaseFormError, lease_of, request_of, state_of
from gateway_batch.admission.leases import (
    LASTS_S,
    LOST_AFTER_S,
    Lease,
    LeaseRequest,
    LeaseState,
    Limits,
    exchange,
)


class Player:
    """A member that counts what it does."""

    def __init__(self, state: list[LeaseState], name: str, limits: Limits, budget: str = "b") -> None:
        self._state, self._name, self._limits, self._budget = state, name, limits, budget
        self._number = 0
        self.lease: Lease | None = None
        self.allowance = self.in_use = 0
        self.sent = self.settled = self.estimated = self.in_flight = NOTHING

    def request(
        self, now: float, waiting: int = 0, spare: int = 0, need: Amount = ONE_REQUEST, repeat: bool = False
    ) -> Lease:
        self._number += not repeat
        last = self.lease
        request = LeaseRequest(
            self._name,
            self._number,
            self._limits,
            self._budget,
            pool=last.pool if last else None,
            spent_before=last.spent if last else NOTHING,
            in_use=self.in_use,
            wants_slots=self.in_use + waiting,
            sent=self.sent,
            settled=self.settled,
            estimated=self.estimated,
            in_flight=self.in_flight,
            kept=self.allowance,
            waiting=waiting,
            spare=spare,
            need=need,
        )
        # as a store does it: state and messages pass as JSON
        state = state_of(self._state[0].as_json())
        self.lease = exchange(state, request, now)
        self._state[0] = state
        if not repeat:
            self.allowance += self.lease.requests
            self.sent = self.settled = self.estimated = NOTHING
        return self.lease

    def send(self, calls: int = 1, need: Amount = ONE_REQUEST) -> None:
        assert self.allowance >= calls
        self.allowance -= calls
        self.in_use += calls
        self.sent += need.times(calls)
        self.in_flight += need.times(calls)

    def end(self, calls: int = 1, need: Amount = ONE_REQUEST, used: Amount = ONE_REQUEST) -> None:
        self.in_use -= calls
        self.in_flight -= need.times(calls)
        self.estimated += need.times(calls)
        self.settled += used.times(calls)


def players(count: int, limits: Limits) -> list[Player]:
    state = [LeaseState()]
    return [Player(state, f"m{number}", limits) for number in range(count)]


def test_a_lone_member_has_all_slots() -> None:
    (one,) = players(1, Limits(concurrency=64))
    assert one.request(0.0, waiting=100).slots == 64
    assert one.request(0.2, waiting=3).slots == 3


def test_slots_are_shared_fairly_and_never_exceed_the_total() -> None:
    one, other = players(2, Limits(concurrency=64))
    one.in_use = one.request(0.0, waiting=100).slots
    assert other.request(0.1, waiting=100).slots == 0  # all are in use
    assert one.request(0.2, waiting=100).slots == 32
    one.in_use = 40
    assert one.request(0.4, waiting=100).slots == 32
    assert other.request(0.4, waiting=100).slots == 24
    one.in_use = 32
    one.request(0.6, waiting=100)
    assert other.request(0.6, waiting=100).slots == 32


def test_who_wants_little_leaves_the_rest_to_others() -> None:
    one, other = players(2, Limits(concurrency=10))
    one.request(0.0, waiting=2)
    assert other.request(0.0, waiting=50).slots == 8


def test_more_members_than_slots_take_turns() -> None:
    members = players(3, Limits(concurrency=1))
    had: list[int] = []
    for turn in range(30):
        member = members[turn % 3]
        member.in_use = 0
        slots = member.request(turn * 0.1, waiting=5).slots
        member.in_use = slots
        had += [turn % 3] * slots
        assert sum(each.in_use for each in members) <= 1
    assert set(had) == {0, 1, 2}


def test_the_slots_of_a_lost_member_come_back() -> None:
    one, other = players(2, Limits(concurrency=4))
    one.in_use = one.request(0.0, waiting=9).slots
    assert other.request(LASTS_S, waiting=9).slots == 0
    assert other.request(LOST_AFTER_S + 0.1, waiting=9).slots == 4


@pytest.mark.parametrize("per_minute", [1, 7, 60, 119, 3000, 60_000])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_no_minute_sees_more_requests_than_allowed_and_most_are_used(per_minute: int, count: int) -> None:
    sent = [0] * 700  # in each fifth of a second
    members = players(count, Limits(requests_per_minute=per_minute))
    for step in range(len(sent)):
        for member in members:
            member.request(step * 0.2 + 3, waiting=20_000)
            sent[step] += member.allowance
            member.send(member.allowance)
            member.end(member.in_use)
    in_a_minute = [sum(sent[start : start + 300]) for start in range(400)]
    assert max(in_a_minute) <= per_minute
    assert min(in_a_minute[100:]) >= 0.9 * per_minute - 1


def test_a_member_that_hoards_leave_is_no_loss_to_those_that_wait() -> None:
    one, other = players(2, Limits(requests_per_minute=600))
    one.request(0.0, waiting=3)
    one.allowance = 0  # given back
    one.request(1.0)
    assert other.request(1.0, waiting=5).requests >= 4


def test_tokens_are_reserved_by_estimate_and_settled_by_use() -> None:
    (one,) = players(1, Limits(tokens_per_minute=61_000))  # 1,000 a second
    need, used = Amount(1, 100), Amount(1, 400)
    sent = 0
    for step in range(300):
        now = step * 0.2
        one.request(now, waiting=1000, need=need)
        calls = one.allowance
        one.send(calls, need)
        one.end(calls, need, used)
        sent += calls
    assert 0.9 * 60 * 1000 / 400 <= sent <= 1.1 * 60 * 1000 / 400 + 5


def test_an_answer_that_claims_a_hundred_million_tokens_stops_the_others_for_a_minute() -> None:
    one, other = players(2, Limits(tokens_per_minute=61_000))
    need = Amount(1, 100)
    assert one.request(0.0, waiting=1, need=need).requests == 1
    one.send(1, need)
    one.end(1, need, Amount(1, 1e8))
    one.request(0.2)
    granted = {at: other.request(at, waiting=5, need=need).requests for at in (1.0, 30.0, 60.0, 62.0)}
    assert [granted[at] > 0 for at in granted] == [False, False, False, True]


def test_requests_larger_than_a_minutes_worth_hold_the_limit_if_they_are_known_to_be() -> None:
    (one,) = players(1, Limits(tokens_per_minute=200_000))
    need, sent = Amount(1, 1e6), 0
    for second in range(3_600):
        one.request(float(second), waiting=5, need=need)
        calls = one.allowance
        one.send(calls, need)
        one.end(calls, need, need)
        sent += calls
    assert 11 <= sent <= 12


def test_a_request_larger_than_the_bucket_goes_when_it_is_full() -> None:
    (one,) = players(1, Limits(tokens_per_minute=600))
    assert one.request(0.0, waiting=3, need=Amount(1, 5000)).requests == 1


def spend(members: list[Player], need: Amount, used: Amount, rounds: int = 200) -> Iterator[int]:
    """Members send what they may, four at once each; yields how many ended."""
    for step in range(rounds):
        for member in members:
            member.request(step * 0.2, waiting=50, need=need)
            calls = min(4, member.allowance)
            member.send(calls, need)
            member.end(calls, need, used)
            yield calls


@pytest.mark.parametrize("count", [1, 2, 7])
def test_max_requests_is_exact(count: int) -> None:
    members = players(count, Limits(max_requests=100))
    assert sum(spend(members, ONE_REQUEST, ONE_REQUEST)) == 100
    assert {member.request(99.0, waiting=1).refusal for member in members} == {"max_requests"}


@pytest.mark.parametrize(
    ("limits", "need", "used", "most"),
    [
        (Limits(max_total_tokens=10_000), Amount(1, 90), Amount(1, 100), 10_000 / 100),
        (Limits(max_cost_usd=0.5), Amount(1, 90, 0.009), Amount(1, 100, 0.01), 50),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_a_budget_is_overspent_by_no_more_than_what_is_in_flight(
    limits: Limits, need: Amount, used: Amount, most: float, count: int
) -> None:
    members = players(count, limits)
    assert most <= sum(spend(members, need, used)) <= most + 4 * count
    assert all(member.request(99.0, waiting=1).refusal for member in members)


def test_the_last_of_a_budget_is_not_left_unused() -> None:
    (one,) = players(1, Limits(max_total_tokens=1000))
    need = Amount(1, 800)
    assert one.request(0.0, waiting=5, need=need).requests == 1
    one.send(1, need)
    assert one.request(0.2, waiting=5, need=need).requests == 0
    one.end(1, need, Amount(1, 700))
    assert one.request(0.4, waiting=5, need=need).requests == 1  # 300 are left


def test_what_a_lost_member_had_in_flight_counts_as_spent() -> None:
    one, other = players(2, Limits(max_requests=10))
    one.request(0.0, waiting=6)
    one.send(2)
    one.allowance = 0
    one.request(0.1)
    assert other.request(LOST_AFTER_S + 1, waiting=100).requests == 8


def test_an_ask_that_is_repeated_counts_once() -> None:
    (one,) = players(1, Limits(max_requests=100))
    one.request(0.0, waiting=10)
    one.send(10)
    one.end(10)
    first = one.request(0.2, waiting=5)
    one.settled = ONE_REQUEST.times(10)
    assert one.request(0.3, waiting=5, repeat=True) == first
    assert first.spent == Amount(10)


def test_a_store_that_lost_its_state_learns_from_its_members_what_was_spent() -> None:
    state = [LeaseState()]
    limits = Limits(requests_per_minute=6_000, max_requests=100)
    one, other = (Player(state, name, limits) for name in ("one", "other"))
    for member in (one, other):
        member.request(0.0, waiting=10)
        member.send(member.allowance)
        member.end(member.in_use)
    one.request(0.2)
    other.request(0.2)
    one.request(0.4)
    spent = other.lease.spent if other.lease else NOTHING
    assert spent.requests > 0
    state[0] = LeaseState()
    lease = one.request(0.6, waiting=5)
    assert lease.spent.requests >= spent.requests
    assert lease.requests == 0  # its bucket may have been emptied just before


def test_requests_and_leases_pass_as_json() -> None:
    request = LeaseRequest("m", 1, Limits(concurrency=3), "b", sent=Amount(1, 2, 3), need=ONE_REQUEST)
    assert request_of(orjson.dumps(request)) == request
    lease: Any = exchange(LeaseState(), request, 1.0)
    assert lease_of(orjson.dumps(lease)) == lease


ODD = [None, True, -1, 0, 1.5, -1e-9, 1e-320, 10**9, 1e18, 2**63, 1e300, -1e300, "x", "", [], [1], {}, {"a": 1}]


def changed(known: Any) -> Iterator[Any]:
    """A JSON value with an odd value in each of its places, one at a time, and with each of its members left out."""
    members = known.items() if isinstance(known, dict) else enumerate(known) if isinstance(known, list) else ()
    for place, value in members:
        for other in [*ODD, *changed(value)]:
            copy = known.copy()
            copy[place] = other
            yield copy
        if isinstance(known, dict):
            yield {name: value for name, value in known.items() if name != place}


def test_what_is_read_is_refused_or_can_be_used_and_written_again() -> None:
    limits = Limits(5, 600, 10_000, 1_000, 100_000, 5.0)
    used, huge = Amount(1, 50, 0.1), Amount(1e18, 1e18, 1e18)
    request = LeaseRequest("m", 2, limits, "b", need=used, sent=used, settled=used, waiting=4, spare=2, kept=1)
    state = LeaseState()
    for name in ("m", "other"):
        exchange(state, LeaseRequest(name, 1, limits, "b", wants_slots=3, waiting=5, need=used), 10.0)
    states = [state.as_json(), *map(orjson.dumps, changed(orjson.loads(state.as_json())))]
    requests = [orjson.dumps(request), *map(orjson.dumps, changed(orjson.loads(orjson.dumps(request))))]
    taken = 0
    for kept, asked in [*((kept, requests[0]) for kept in states), *((states[0], asked) for asked in requests)]:
        try:
            state, request = state_of(kept), request_of(asked)
        except LeaseFormError:
            continue
        taken += 1
        exchange(state, request, 12.0)
        for number in range(3):
            lease = exchange(state, LeaseRequest("last", number, limits, "b", need=huge, sent=huge, settled=huge), 13.0)
            assert lease_of(orjson.dumps(lease)) == lease
        state_of(state.as_json())
    assert 50 < taken < len(states) + len(requests) - 500
