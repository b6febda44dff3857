"""Finds the usage blocks of an answer in its bytes, whether or not the rest of them can be read."""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Iterator

_MOST = 4
_SEARCHED_BYTES = 256 << 10  # at the end, where the block stands
_LONGEST = 65_536


def last_blocks(body: bytes, *names: str) -> Iterator[tuple[str, str]]:
    """The last members with these names that are objects: the name, and the text from the object's begin on.

    Inside a JSON string every quote has a backslash before it, so a quoted name before a colon is a member's.
    """
    found = _member(names).finditer(body, max(0, len(body) - _SEARCHED_BYTES))
    for match in reversed(deque(found, maxlen=_MOST)):
        text = body[match.end() : match.end() + _LONGEST]
        yield match[1].decode(), text.decode("utf-8", "ignore")


@functools.cache
def _member(names: tuple[str, ...]) -> re.Pattern[bytes]:
    return re.compile(rb'"(%b)"\s*:\s*(?=\{)' % "|".join(map(re.escape, names)).encode())
