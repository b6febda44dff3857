"""What a Spark error says, without the stacks."""

from __future__ import annotations

import re

_OURS = re.compile(r"^gateway_batch\.errors\.\w+: (?P<message>.*)$", re.MULTILINE)
_PY4J = re.compile(r"An error occurred while calling ")


def first_line(error: Exception) -> str:
    """The one line of an error that says what is wrong: ours, if it came from a worker, else Spark's first."""
    text = str(error)
    if ours := _OURS.search(text):
        return ours["message"]
    lines = (line.strip() for line in text.splitlines() if not _PY4J.match(line))
    return next((line.removeprefix(": ") for line in lines if line), type(error).__name__)
