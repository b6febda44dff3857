"""Whether 429s say that a service has had enough, or hit single calls while it lets others through.

Calls are looked at in the order in which they were sent, up to the one that was refused: a refusal takes milliseconds,
an answer may take minutes, so a call in between that has not been refused by now counts as let through.
"""

from __future__ import annotations

from collections import deque

_FEWEST_IN_A_ROW, _MOST_IN_A_ROW, _OF_THOSE_IN_FLIGHT = 3, 8, 0.2
_LARGEST_SHARE = 0.4
_FEWEST, _MOST = 32, 64  # calls that a share is of
_REFUSED, _BY_ITSELF = 1, 2  # what is known of a call: it was refused; no other was under way as it was sent


class RefusalEvidence:
    """What is known of one service's 429s.

    Attributes:
        cleared_at: the number of the last call before the evidence was cleared.
    """

    def __init__(self) -> None:
        self.cleared_at = 0
        self._sent = 0
        self._calls: deque[int] = deque(maxlen=_MOST)  # the last ones, in order

    def sent(self, in_flight: int) -> int:
        """A call goes out, one of those in flight; its number, from 1 on."""
        self._sent += 1
        self._calls.append(_BY_ITSELF if in_flight <= 1 else 0)
        return self._sent

    def refused(self, number: int, in_flight: int) -> bool:
        """The call of a number was answered 429, one of those in flight.

        Returns:
            Whether the service has had enough: the calls before it were refused, too, or too large a share of them, or
            there is no other call to judge by; or it was sent before the evidence was cleared, for such a reason.
        """
        if number <= self.cleared_at:
            return True
        place = len(self._calls) - 1 - (self._sent - number)
        if place < 0:  # sent long ago
            return False
        self._calls[place] |= _REFUSED
        refused = [bool(call & _REFUSED) for call in self._calls]
        known = refused[: place + 1]
        in_a_row = int(min(max(_FEWEST_IN_A_ROW, _OF_THOSE_IN_FLIGHT * in_flight), _MOST_IN_A_ROW))
        is_alone = in_flight <= 1 and self._calls[place] & _BY_ITSELF
        if is_alone or all(refused) or (len(known) >= in_a_row and all(known[-in_a_row:])):
            return True
        return len(known) >= _FEWEST and sum(known) > _LARGEST_SHARE * len(known)

    @property
    def is_enough(self) -> bool:
        """Whether there were enough calls for their share to say anything."""
        return len(self._calls) >= _FEWEST

    def clear(self) -> None:
        """What was sent until now says nothing of what follows."""
        self.cleared_at = self._sent
        self._calls.clear()
