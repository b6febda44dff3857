"""JSON whose numbers stay what they are: as int, however long, and as Decimal where a float is another number."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

import orjson

_LONG = re.compile(rb"\d[\d.]{15}")
"""Fewer digits are what they were after a float."""


def loads(text: bytes, *, exact: bool = True) -> Any:
    """The value of a JSON text; NaN and Infinity, which Python's own servers write for numbers, are Decimal too.

    Args:
        text: in UTF-8.
        exact: whether all numbers are exact; else only those that are too large for a float.

    Raises:
        JSONDecodeError: it is no JSON, that of such servers either.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return _loaded(text)
        except (ValueError, RecursionError):
            pass
        raise
    return _loaded(text) if exact and has_long_number(text) else value


def has_long_number(text: bytes) -> bool:
    """Whether there may be a number in a JSON text that a float would change."""
    return _LONG.search(text) is not None


def dumps(value: Any) -> str:
    """The JSON text of a value that may have Decimals in it."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{dumps(name)}: {dumps(member)}" for name, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dumps, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _loaded(text: bytes) -> Any:
    """The value; a text that is no JSON, or has half a surrogate pair in it, is a ValueError or a RecursionError."""
    found = json.loads(text.decode(), parse_float=_fraction, parse_constant=Decimal)
    json.dumps(found, ensure_ascii=False, default=float).encode()
    return found


def _fraction(written: str) -> float | Decimal:
    value = float(written)
    is_it = (len(written) <= 16 or repr(value) == written) and math.isfinite(value)
    return value if is_it else Decimal(written)
