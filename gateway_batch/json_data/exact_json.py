"""JSON whose numbers stay what they are: as int, however long, and as Decimal where a float is another number."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

_LONG = re.compile(rb"\d[\d.]{15}")
"""Fewer digits are what they were after a float."""

_LONGEST_INT = 4_300
"""Digits that Python makes an int of."""

_NO_JSON = (ValueError, RecursionError, ArithmeticError)


def loads(text: bytes, *, exact: bool = True) -> Any:
    """The value of a JSON text; NaN and Infinity, which Python's own servers write for numbers, are Decimal too.

    Args:
        text: in UTF-8.
        exact: whether all numbers are exact; else only those that are too large for a float.

    Raises:
        JSONDecodeError: it is no JSON, that of such servers either.
    """
    number = _exact if exact else _finite
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return _loaded(text, number)
        except _NO_JSON:
            pass
        raise
    if exact and has_long_number(text):
        try:
            return _loaded(text, number)
        except _NO_JSON:  # nested too deep for Python's reader, or an exponent of twenty digits
            return value
    return value


def has_long_number(text: bytes) -> bool:
    """Whether there may be a number in a JSON text that a float would change."""
    return _LONG.search(text) is not None


def dumps(value: Any) -> str:
    """The JSON text of a value that may have Decimals in it.

    Raises:
        RecursionError: it has, and is nested too deep.
    """
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:
        return _written(value)


def _written(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {_written(value[key])}" for key in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _loaded(text: bytes, number: Callable[[str], float | Decimal]) -> Any:
    """The value; a text that is no JSON, or has half a surrogate pair in it, raises one of `_NO_JSON`."""
    found = json.loads(text.decode(), parse_int=_whole, parse_float=number, parse_constant=Decimal)
    json.dumps(found, ensure_ascii=False, default=float).encode()
    return found


def _whole(written: str) -> int | Decimal:
    return int(written) if len(written) <= _LONGEST_INT else Decimal(written)


def _finite(written: str) -> float | Decimal:
    value = float(written)
    return value if math.isfinite(value) else Decimal(written)


def _exact(written: str) -> float | Decimal:
    value = float(written)
    if math.isfinite(value) and (len(written) <= 16 or repr(value) == written):
        return value
    number = Decimal(written)
    return value if number == Decimal(repr(value)) else number
