"""How much one service bears, learned from its answers: calls in flight, calls a second, pauses. Pure.

It opens wide within a fraction of a second. A burst of 429s cuts the calls in flight once, each success adds to them
again. Calls are paced from then on, so that the end of what the service lets through meets few of them: first in search
of its rate, from a trickle to ever more. At the next burst the rate is known: what was let through between two moments
at which the service had enough. Such a pace grows slowly at first, faster the longer no 429 comes. A service that
answered before and now fails call after call is taken for down: one call at a time probes it, and its failures are not
the rows' own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

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
_ALMOST_ONE = 1 - 1e-6

_SLOW_START = 4.0
_FAILURES_MEAN_DOWN = 8
_FIRST_PROBE_S, _SLOWER_PROBES, _LONGEST_PROBE_S = 0.5, 1.6, 5.0


class Window:
    """One service's. Times are seconds of one monotonic clock.

    Args:
        ceiling: calls in flight at most.
        chance: in [0, 1), for the jitter of pauses.
    """

    def __init__(self, ceiling: int, chance: Callable[[], float]) -> None:
        self.in_flight = 0
        self._ceiling = float(ceiling)
        self._chance = chance
        self._limit = self._ceiling
        self._threshold = self._ceiling  # up to here the limit grows with each success, above by one a round
        self._first_sent_at: float | None = None
        self._closed_until = 0.0
        self._bursts = 0
        self._burst_at: float | None = None
        self._burst_before_at: float | None = None
        self._burst_is_new = False
        self._let_through = 0  # since the burst before
        self._pace: _Pace | None = None
        self._rate_is_known = False
        self._has_answered = False
        self._failing: set[int] = set()
        self._down_since: float | None = None
        self._probe_pause_s = _FIRST_PROBE_S

    def opens_at(self, now: float) -> float | None:
        """When a call may be sent, now or later; None while that depends on calls in flight."""
        if self._closed_until > now:
            return self._closed_until
        if self.in_flight >= (1 if self._down_since is not None else int(self._limit)):
            return None
        if self._burst_at is None:
            return max(now, self._opening_at(self.in_flight + 1))
        self._measure()
        return now if self._pace is None else self._pace.ready_at(now)

    def sent(self, now: float) -> None:
        """A call goes out."""
        self.in_flight += 1
        self._let_through += 1
        if self._first_sent_at is None:
            self._first_sent_at = now
        if self._pace is not None:
            self._pace.take(now)

    def ended(self) -> None:
        """A call is over, however."""
        self.in_flight -= 1

    def succeeded(self) -> None:
        """A call was answered with a result."""
        self._has_answered = True
        self._bursts = 0
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

    def throttled(self, now: float, sent_at: float, retry_after_s: float | None) -> None:
        """A call sent at `sent_at` was answered 429: pauses as long as asked, and slows down once a burst."""
        self._let_through -= 1
        if self._burst_at is None or sent_at > self._burst_at:
            self._begin_burst(now)
        if retry_after_s is None:
            retry_after_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._bursts - 1, 10)) * (
                0.5 + self._chance()
            )
        self._closed_until = max(self._closed_until, now + retry_after_s)

    def failed(self, now: float, sent_at: float, row: int) -> bool:
        """A call failed in a way that the service may be at fault for.

        Args:
            now: the time.
            sent_at: when it was sent.
            row: tells the calls of a row from those of others.

        Returns:
            Whether the failure counts as its row's: not while the service is down.
        """
        if self._down_since is not None:
            if sent_at >= self._down_since:
                self._pause_probes(now)
            return False
        self._failing.add(row)
        if not self._has_answered or len(self._failing) < max(2.0, min(_FAILURES_MEAN_DOWN, self._ceiling)):
            return True
        self._down_since = now
        self._threshold = max(_SLOW_START, self._limit * _CUT)
        self._pause_probes(now)
        return True

    def _opening_at(self, calls: int) -> float:
        """When so many calls may be in flight, as far as opening goes."""
        if self._first_sent_at is None or calls <= _FIRST_CALLS:
            return float("-inf")
        return self._first_sent_at + _DOUBLES_IN_S * math.log2(calls / _FIRST_CALLS)

    def _pause_probes(self, now: float) -> None:
        self._closed_until = max(self._closed_until, now + self._probe_pause_s * (0.5 + self._chance()))
        self._probe_pause_s = min(_LONGEST_PROBE_S, self._probe_pause_s * _SLOWER_PROBES)

    def _begin_burst(self, now: float) -> None:
        self._bursts += 1
        if not self._rate_is_known:
            self._threshold = max(1.0, min(self._limit, self.in_flight) * _CUT)
            self._limit = min(_SLOW_START, self._threshold)
        self._burst_before_at, self._burst_at, self._burst_is_new = self._burst_at, now, True

    def _measure(self) -> None:
        """Once a burst's 429s are all in, what was let through since the burst before is known."""
        if not self._burst_is_new:
            return
        self._burst_is_new = False
        assert self._burst_at is not None
        over_s = 0.0 if self._burst_before_at is None else self._burst_at - self._burst_before_at
        if over_s > _MEASURED_OVER_S and self._let_through > 0:
            rate = self._let_through / over_s * _BELOW_MEASURED
            if self._rate_is_known:
                assert self._pace is not None
                rate = max(rate, self._pace.rate * _LARGEST_CUT_OF_PACE)
            self._pace, self._rate_is_known = _Pace(rate, _steady_growth), True
            self._limit = self._threshold = self._ceiling  # the pace is the narrower of the two
        elif not self._rate_is_known:
            self._pace = _Pace(_FIRST_RATE, _growth_in_search)
        self._let_through = 0


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
        growth: of the rate, by its part a second, after so many seconds of use.
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
