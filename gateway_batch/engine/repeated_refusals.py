"""Refusals that no row of a query can escape: after a few calls refused in the same words, no further one is sent.

Now and then one is sent all the same, ever more seldom by number and again after a while, to see whether the key, the
money or the model is there by now. The first answer ends it.
"""

from __future__ import annotations

import copy
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from gateway_batch.engine.blame import CONSEQUENCES, Blame
from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.types import AnyRequest

_MOST_QUERIES = 256
_LOOK_AGAIN_S = 10.0
_PARAMETER_REPEATS = 8
# What differs between two refusals that say the same: numbers, ids, quoted values.
_VARIES = re.compile(r"\b[\w-]*\d[\w-]*\b|'[^']{0,200}'|\"[^\"]{0,200}\"")


@dataclass(slots=True)
class _Query:
    """What the calls of one query met."""

    words: tuple[ErrorKind, str]
    first: CallError
    refused: int = 0
    unsent: int = 0
    look_at: float = 0.0


class RepeatedRefusals:
    """What the calls of each query met, in one process.

    Args:
        clock: monotonic seconds.
        asks: gives what a call has in common with all others of its kind in the query, such as its parameters.
    """

    def __init__(self, clock: Callable[[], float], asks: Callable[[AnyRequest], Hashable]) -> None:
        self._clock = clock
        self._asks = asks
        self._queries: OrderedDict[Hashable, _Query] = OrderedDict()
        self._answered: OrderedDict[Hashable, None] = OrderedDict()

    def check(self, query: Hashable, call: AnyRequest) -> None:
        """Lets a call of a query go out, or raises why it need not.

        Args:
            query: the service and the query.
            call: what is asked.

        Raises:
            CallError: of the kind that the calls before it met.
        """
        if not self._queries:
            return
        known = self._queries.get((query, self._asks(call)))
        if known is None or known.refused < _repeats(known.first):
            return
        known.unsent += 1
        is_power_of_two = known.unsent & (known.unsent - 1) == 0
        if (is_power_of_two and known.unsent >= _MOST_QUERIES) or self._clock() >= known.look_at:
            known.look_at = self._clock() + _LOOK_AGAIN_S
            return
        raise _unsent(known)

    def refused(self, query: Hashable, call: AnyRequest, error: CallError) -> None:
        """A call of a query failed for good; the arguments as for `check`."""
        consequence = CONSEQUENCES[error.kind]
        if consequence.repeats is None:
            return
        if consequence.blame is not Blame.MONEY and query in self._answered:  # others had an answer with it
            return
        query = (query, self._asks(call))
        words = (error.kind, _VARIES.sub("#", str(error))[:300])
        known = self._queries.get(query)
        if known is None or known.words != words:
            known = self._queries[query] = _Query(words, error)
            if len(self._queries) > _MOST_QUERIES:
                self._queries.popitem(last=False)
        known.refused += 1
        known.look_at = self._clock() + _LOOK_AGAIN_S

    def answered(self, query: Hashable, call: AnyRequest) -> None:
        """A call of a query was answered; the arguments as for `check`."""
        if self._queries:
            self._queries.pop((query, self._asks(call)), None)
        if query not in self._answered:
            self._answered[query] = None
            if len(self._answered) > _MOST_QUERIES:
                self._answered.popitem(last=False)


def _repeats(error: CallError) -> int:
    repeats = CONSEQUENCES[error.kind].repeats
    assert repeats is not None
    return repeats if error.refused_parameter is None else _PARAMETER_REPEATS


def _unsent(known: _Query) -> CallError:
    error = copy.copy(known.first)
    error.args = (f"not sent, as the calls before were refused one after another: {known.first}",)
    error.was_sent, error.event_id, error.paid = False, None, None
    return error
