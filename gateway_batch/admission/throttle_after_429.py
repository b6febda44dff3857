"""How much one service bears, learned from its answers: calls in flight, calls a second, pauses.

It opens wide within a fraction of a second. A burst of 429s cuts the calls in flight once, each success adds to them
again. Calls are paced from then on, so that the end of what the service lets through meets few of them: first in search
of its rate, from a trickle to ever more. At the next burst the rate is known: what was let through between two moments
at which the service had enough. Such a pace grows slowly at first, faster the longer no 429 comes. Bursts, pauses and
rates hold for all processes that share a state, in equal parts.

A service that answered before and now fails call after call is taken for down: one call at a time probes it, and its
failures are not the rows' own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from gateway_batch.admission.refusal_evidence import RefusalEvidence
from gateway_batch.admission.shared_throttle import SharedThrottleState

_FIRST_CALLS, _DOUBLES_IN_S = 8, 0.04  # so that a 429 that comes at once finds few behind it
_CUT = 0.7
_GROWTH = 0.5  # a success, up to where it was cut
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0

_FIRST_RATE, _SEARCH_DOUBLES_IN_S = 8.0, 0.1
_MEASURED_OVER_S = 0.1  # at least
_BELOW_MEASURED = 0.98
_LARGEST_CUT_OF_PACE = 0.8
_STEADY_S, _FIRST_GROWTH, _LATER_GROWTH, _MOST_GROWTH = 2.5, 0.01, 0.03, 0.5  # of the pace, a second
_PACE_HOLDS_S = 0.05
_SLOWER = 0.6
_COUNTED_OVER_S, _SHORTEST_COUNT_S = 1.0, 0.25
_ALMOST_ONE = 1 - 1e-6

_SLOW_START = 4.0
_FAILURES_MEAN_DOWN, _WAITED_OUT_MEANS_DOWN = 8, 4
_FIRST_PROBE_S, _SLOWER_PROBES, _LONGEST_PROBE_S = 0.5, 1.6, 5.0


class AdaptiveThrottle:
    """One service's. Times are seconds of one monotonic clock.

    Args:
        ceiling: calls in flight at most.
        rng: in [0, 1), for the jitter of pauses.
        state: of the service, shared with other processes that send to it.
    """

    def __init__(self, ceiling: int, rng: Callable[[], float], state: SharedThrottleState) -> None:
        self.in_flight = 0
        self._ceiling = float(ceiling)
        self._rng = rng
        self._state = state
        self._is_member = False
        self._limit = self._ceiling
        self._threshold = self._ceiling  # up to here the limit grows with each success, above by one a round
        self._first_sent_at: float | None = None
        self._probes_closed_until = 0.0
        self._bursts_in_a_row = 0
        self._bursts_seen = state.bursts
        self._burst_is_new = False
        self._evidence = RefusalEvidence()
        self._asked_until = 0.0
        self._is_measured = False  # the rate that is to be measured is what the service bears
        self._passed_per_s = 0.0  # by this service, at its best or by the last measurement
        self._counted, self._counted_since, self._counted_before = 0, 0.0, 0.0
        self._let_through = 0  # since the burst before
        self._pace: _Pace | None = None
        self._rate_is_known = False
        self._has_answered = False
        self._failing: set[int] = set()
        self._down_since: float | None = None
        self._probe_pause_s = _FIRST_PROBE_S

    @property
    def closed_until(self) -> float:
        """Until then no call may be sent, whatever is in flight."""
        return max(self._state.closed_until, self._probes_closed_until)

    def why_closed(self, now: float) -> str | None:
        """Why no call may be sent now, for people; None where only calls in flight or the pace hold it up."""
        if self._state.closed_until > now:
            return f"the service refused calls (429), and gets none for {self._state.closed_until - now:,.1f} s more"
        if self._down_since is not None:
            return "the service fails call after call, and is probed by one at a time"
        return None

    def opens_at(self, now: float) -> float | None:
        """When a call may be sent, now or later; None while that depends on calls in flight."""
        if not self._is_member:
            self._join(now)
        if self._state.bursts != self._bursts_seen:
            self._begin_burst()
        if self.closed_until > now:
            return self.closed_until
        if self.in_flight >= (1 if self._down_since is not None else int(self._limit)):
            return None
        if self._burst_is_new:
            self._measure()
        if self._pace is None:
            return max(now, self._opening_at(self.in_flight + 1))
        if self._rate_is_known and (more := self._state.take_over(now)):
            self._keep_to(self._pace.rate + more)
        return self._pace.ready_at(now)

    def sent(self, now: float) -> int:
        """A call goes out; its number."""
        self.in_flight += 1
        self._let_through += 1
        if now - self._counted_since >= _COUNTED_OVER_S:
            self._counted_before = self._counted / (now - self._counted_since)
            self._counted, self._counted_since = 0, now
        self._counted += 1
        if self._first_sent_at is None:
            self._first_sent_at = now
        if self._pace is not None:
            self._pace.take(now)
        return self._evidence.sent(self.in_flight)

    def ended(self) -> None:
        """A call is over, however."""
        self.in_flight -= 1

    def succeeded(self) -> None:
        """A call was answered with a result."""
        self._has_answered = True
        self._bursts_in_a_row = 0
        if self._failing:
            self._failing.clear()
        if self._down_since is not None:
            self._down_since = None
            self._probe_pause_s = _FIRST_PROBE_S
            self._limit = min(_SLOW_START, self._ceiling)
        elif self._limit < self._ceiling:
            self._limit = min(
                self._ceiling, self._limit + (_GROWTH if self._limit < self._threshold else 1 / self._limit)
            )

    def throttled(self, now: float, sent_at: float, number: int, retry_after_s: float | None) -> bool:
        """A call of this number, sent at `sent_at`, was answered 429.

        Where the service has had enough, it gets a pause as long as it asks for, and calls slow down once a burst.

        Returns:
            Whether it has: else it refused this call and still serves others.
        """
        self._let_through -= 1
        self._counted -= 1
        has_enough = self._evidence.refused(number, self.in_flight)
        if retry_after_s is not None:
            self._asked_until = max(self._asked_until, now + retry_after_s)
        if not has_enough and self._may_be_chance():
            return False
        if number > self._evidence.cleared_at:
            if self._pace is None:
                self._passed_per_s = self._seen_to_pass(now) if self._evidence.is_enough else math.inf
            self._is_measured = has_enough
            self._evidence.clear()
        self._state.refused(now, sent_at)
        if self._state.bursts != self._bursts_seen:
            self._begin_burst()
        elif self._burst_is_new:
            self._state.report(self._let_through)
        if retry_after_s is None:
            doubled = 2.0 ** min(max(0, self._bursts_in_a_row - 1), 10)
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * doubled) * (0.5 + self._rng())
            self._asked_until = max(self._asked_until, now + pause_s)
        self._state.close_until(self._asked_until)
        return True

    def _seen_to_pass(self, now: float) -> float:
        """Calls a second that were not refused, in this second or the one before."""
        counted_s = max(_SHORTEST_COUNT_S, now - self._counted_since)
        return max(self._counted / counted_s, self._counted_before)

    def _may_be_chance(self) -> bool:
        """Whether a 429 that hit a single call leaves the pace as it is.

        It does before there is a pace, and where calls are refused that are much slower than what has passed: the pace
        is searched for anew then, until more than single calls are refused.
        """
        if self._pace is not None and self._rate_is_known:
            if self._pace.rate >= _SLOWER * self._passed_per_s:
                return False
            self._pace, self._rate_is_known = _Pace(self._pace.rate, _growth_in_search), False
        return True

    def failed(self, now: float, sent_at: float, row: int, *, is_waited_out: bool = False) -> bool:
        """A call failed in a way that the service may be at fault for.

        Args:
            now: the time.
            sent_at: when it was sent.
            row: identifies the row, as a row's calls fail together.
            is_waited_out: the service says that it will answer later: it may be down from the first call on.

        Returns:
            Whether the failure counts as its row's: not while the service is down.
        """
        if self._down_since is not None:
            if sent_at >= self._down_since:
                self._pause_probes(now)
            return False
        self._failing.add(row)
        if is_waited_out:
            is_down = len(self._failing) >= _WAITED_OUT_MEANS_DOWN
        else:
            is_down = self._has_answered and len(self._failing) >= max(2.0, min(_FAILURES_MEAN_DOWN, self._ceiling))
        if not is_down:
            return True
        self._down_since = now
        self._threshold = max(_SLOW_START, self._limit * _CUT)
        self._pause_probes(now)
        return True

    def leave(self, now: float) -> None:
        """No call waits or is under way: the other processes may have this one's part."""
        if self._is_member:
            self._is_member = False
            self._state.leave(now, self._pace.rate if self._pace is not None and self._rate_is_known else 0.0)

    def _join(self, now: float) -> None:
        self._is_member = True
        self._bursts_seen, self._let_through = self._state.bursts, 0
        rate = self._state.join(now)
        known = self._pace.rate if self._pace is not None and self._rate_is_known else None
        if rate is not None and rate != known:  # the earlier pace continues as it was
            self._keep_to(rate)
        elif known is not None:
            self._state.sends_at(known)
        elif self._state.bursts:  # the others search for the rate
            self._pace = _Pace(_FIRST_RATE, _growth_in_search)

    def _opening_at(self, calls: int) -> float:
        """When this number of calls may be in flight, as far as opening goes."""
        if self._first_sent_at is None or calls <= _FIRST_CALLS:
            return float("-inf")
        return self._first_sent_at + _DOUBLES_IN_S * math.log2(calls / _FIRST_CALLS)

    def _pause_probes(self, now: float) -> None:
        pause_s = self._probe_pause_s * (0.5 + self._rng())
        self._probes_closed_until = max(self._probes_closed_until, now + pause_s)
        self._probe_pause_s = min(_LONGEST_PROBE_S, self._probe_pause_s * _SLOWER_PROBES)

    def _begin_burst(self) -> None:
        """One that this process or another one met."""
        self._bursts_in_a_row += 1
        self._bursts_seen, self._burst_is_new = self._state.bursts, True
        self._state.report(self._let_through)
        if not self._rate_is_known and self.in_flight:
            self._threshold = max(1.0, min(self._limit, self.in_flight) * _CUT)
            self._limit = min(_SLOW_START, self._threshold)

    def _measure(self) -> None:
        """Once a burst's 429s are all in, what was let through since the burst before is known."""
        self._burst_is_new = False
        let_through, over_s = self._state.measured()
        if over_s > _MEASURED_OVER_S and let_through > 0:
            rate = let_through / over_s * _BELOW_MEASURED
            if self._rate_is_known:
                assert self._pace is not None
                rate = max(rate, self._pace.rate * _LARGEST_CUT_OF_PACE)
            if self._is_measured:
                self._passed_per_s = rate
            self._keep_to(rate)
        elif not self._rate_is_known:
            self._pace = _Pace(_FIRST_RATE, _growth_in_search)
        self._let_through = 0

    def _keep_to(self, rate: float) -> None:
        self._pace, self._rate_is_known = _Pace(rate, _steady_growth), True
        self._limit = self._threshold = self._ceiling  # the pace is the narrower of the two
        self._state.sends_at(rate)


def _growth_in_search(used_s: float) -> float:
    return math.log(2) / _SEARCH_DOUBLES_IN_S


def _steady_growth(used_s: float) -> float:
    if used_s < _STEADY_S:
        return _FIRST_GROWTH
    return min(_MOST_GROWTH, _LATER_GROWTH * 2 ** min(10.0, used_s / _STEADY_S - 1))


class _Pace:
    """Calls a second: a bucket that holds little, and a rate that grows while calls keep up with it.

    Args:
        rate: at first.
        growth: of the rate, by its part a second, after that many seconds of use.
    """

    def __init__(self, rate: float, growth: Callable[[float], float]) -> None:
        self.rate = rate
        self._growth = growth
        self._level = 1.0
        self._filled_at: float | None = None
        self._used_s = 0.0

    def ready_at(self, now: float) -> float:
        """When the next call is due."""
        self._fill(now)
        return now if self._level >= _ALMOST_ONE else now + (1 - self._level) / self.rate

    def take(self, now: float) -> None:
        """One call goes out. The rate may grow, unless calls are slower than it anyway."""
        self._fill(now)
        is_full = self._level >= self._most()
        self._level -= 1
        if is_full:
            return
        self._used_s += 1 / self.rate
        self.rate += self._growth(self._used_s)

    def _most(self) -> float:
        return 1 + self.rate * _PACE_HOLDS_S

    def _fill(self, now: float) -> None:
        passed_s = 0.0 if self._filled_at is None else max(0.0, now - self._filled_at)
        self._level = min(self._most(), self._level + passed_s * self.rate)
        self._filled_at = now
