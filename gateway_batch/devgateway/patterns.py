"""Regular expressions of a fault script, by RE2: their time is linear in the text, whatever the expression."""

from __future__ import annotations

_SEARCHED = 100_000
"""Characters of a text."""


def is_found(pattern: str, text: str) -> bool:
    """Whether an expression is found in the first 100,000 characters of a text.

    Raises:
        ValueError: it is no expression of RE2, which has no lookaround and no back references.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    shown = text[:_SEARCHED].encode(errors="replace").decode()
    return bool(pc.match_substring_regex(pa.scalar(shown), pattern).as_py())
