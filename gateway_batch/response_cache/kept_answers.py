"""The form in which outcomes are kept, and what of it is understood when it is read back. Pure.

What is read was written by another process, maybe of another version, or by somebody else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import orjson

from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.json_data import exact_json

Fits = Callable[[Any], bool]
"""Whether a value is one that a request could have been answered with."""

_VALUE = "value"
_EXACT = "exact"
"""The member of a kept answer that has its JSON as text."""

_KIND = "kind"


class NotUnderstoodError(ValueError):
    """What was kept has no form of this version. Says which part, and nothing of its text."""


def encoded(value: Any) -> bytes | None:
    """An answer, to be kept; None for one that has no JSON, as with half a surrogate pair in it."""
    try:
        return orjson.dumps({_VALUE: value})
    except TypeError:  # Decimals
        with contextlib.suppress(TypeError, ValueError, RecursionError):
            return orjson.dumps({_EXACT: exact_json.dumps(value)})
    return None


def encoded_failure(error: CallError) -> bytes:
    """A failure, to be kept."""
    message = str(error).encode("utf-8", "replace").decode()
    return orjson.dumps({_KIND: error.kind, "message": message, "status": error.status, "event_id": error.event_id})


def decoded(kept: bytes, fits: Fits | None = None) -> Any | CallError:
    """An answer's value, or a failure.

    Args:
        kept: as `encoded` or `encoded_failure` made it.
        fits: for an answer's value; None: any is right.

    Raises:
        NotUnderstoodError: it was made by neither, or does not fit.
    """
    try:
        known = orjson.loads(kept)
    except orjson.JSONDecodeError:
        raise NotUnderstoodError("it is not JSON") from None
    if not isinstance(known, dict):
        raise NotUnderstoodError("it is not a JSON object")
    if _KIND in known:
        return _failure(known)
    value = _answer(known)
    if fits is not None and not fits(value):
        raise NotUnderstoodError("its value is not what such a request is answered with")
    return value


def _answer(known: dict[str, Any]) -> Any:
    if _EXACT in known:
        try:
            return exact_json.loads(known[_EXACT].encode())
        except (AttributeError, ValueError, RecursionError):
            raise NotUnderstoodError("its exact value is not JSON") from None
    if _VALUE not in known:
        raise NotUnderstoodError("it has no value")
    return known[_VALUE]


def _failure(known: dict[str, Any]) -> CallError:
    message, status, event_id = (known.get(name) for name in ("message", "status", "event_id"))
    if not (isinstance(message, str) and isinstance(status, int | None) and isinstance(event_id, str | None)):
        raise NotUnderstoodError("it is a failure whose message, status or event id is of the wrong type")
    try:
        error = CallError(ErrorKind(known[_KIND]), message, status=status)
    except ValueError:
        raise NotUnderstoodError("it is a failure of an unknown kind") from None
    error.event_id, error.was_sent = event_id, True
    return error
