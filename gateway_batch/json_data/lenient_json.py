"""JSON as servers really write it: a text with small faults in it is read as what it was meant to be."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from gateway_batch.json_data import exact_json

MOST_MENDED = 1 << 20
"""Bytes. To mend more would hold up other rows."""

_STRING = re.compile(r'"[^"\\]*+(?:\\.?[^"\\]*+)*+(?:"|\Z)', re.DOTALL)  # in linear time, unterminated ones too
_NOT_PLAIN = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    r"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\."
    r"|(?P<control>[\x00-\x1f])",
    re.DOTALL,
)


def loads(text: bytes, *, exact: bool = True) -> Any:
    """As `exact_json.loads`, and of a text that is no JSON but for faults that leave no doubt about its values.

    These are bytes that are no UTF-8 and halves of surrogate pairs, read as U+FFFD, control characters in strings, a
    byte order mark, and UTF-16 or UTF-32. A text of more than `MOST_MENDED` bytes has to be JSON as it is.

    Raises:
        JSONDecodeError: it is no JSON, without these faults either.
    """
    if len(text) > MOST_MENDED and not exact:
        return orjson.loads(text)
    try:
        return exact_json.loads(text, exact=exact)
    except orjson.JSONDecodeError as error:
        if len(text) > MOST_MENDED:
            raise
        mended = _mended(text)
        if mended == text:
            raise
        try:
            return exact_json.loads(mended, exact=exact)
        except orjson.JSONDecodeError:
            raise error from None


def _mended(text: bytes) -> bytes:
    decoded = text.decode(json.detect_encoding(text), "replace").removeprefix("\ufeff")
    return _STRING.sub(_mended_string, decoded).encode("utf-8", "replace")


def _mended_string(string: re.Match[str]) -> str:
    return _NOT_PLAIN.sub(_mended_part, string[0])


def _mended_part(part: re.Match[str]) -> str:
    if part["half"]:
        return "\ufffd"
    return f"\\u{ord(part['control']):04x}" if part["control"] else part[0]
