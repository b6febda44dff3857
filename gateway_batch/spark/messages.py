"""What a Spark error says, without the stacks."""

from __future__ import annotations

import re

_OURS = re.compile(r"^gateway_batch\.errors\.\w+: (?P<message>.*)$", re.MULTILINE)


def first_line(error: Exception) -> str:
    """The one line of an error that says what is wrong: ours, if it came from a worker, else Spark's first."""
    text = str(error)
    if ours := _OURS.search(text):
        return ours["message"]
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line), type(error).__name__)
