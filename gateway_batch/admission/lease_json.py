"""Lease states, requests and leases from JSON that others wrote: of this version's form and in range, or refused. Pure.

A number that is none, negative or without bounds would pass from one process's report into the limits of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson

from gateway_batch.admission.amount import Amount
from gateway_batch.admission.leases import BUDGETS, MOST, Flow, Lease, LeaseRequest, LeaseState, Limits, Member

_MOST_BYTES = 16 << 20
_MOST_LETTERS = 1_000
_MOST_THINGS = 10**9
_LONGEST_S = 3_600.0
_ROUNDING = 1e-3  # sums of amounts that were added and taken away again may end a little below zero

T = TypeVar("T")
Read = Callable[[Any], Any]


class LeaseFormError(ValueError):
    """JSON that this version doesn't write, as a later one might. Says where, and nothing of its values."""


def state_of(kept: object) -> LeaseState:
    """A state that was kept; a new one where none was.

    Raises:
        LeaseFormError: what was kept is no state of this version.
    """
    if kept is None:
        return LeaseState()
    if not isinstance(kept, bytes) or len(kept) > _MOST_BYTES:
        raise LeaseFormError("it is no bytes, or too many")
    known = _loaded(kept)
    state = _made(LeaseState, known, _STATE)
    if known.keys() != _STATE.keys():
        raise LeaseFormError("it lacks a member")
    return state


def request_of(body: bytes) -> LeaseRequest:
    """A request from its JSON.

    Raises:
        LeaseFormError: it is none.
    """
    return _made(LeaseRequest, _loaded(body), _REQUEST)


def lease_of(body: bytes) -> Lease:
    """A lease from its JSON.

    Raises:
        LeaseFormError: it is none.
    """
    return _lease(_loaded(body))


def _loaded(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise LeaseFormError("it is not JSON") from None


def _made(kind: type[T], known: object, readers: Mapping[str, Read]) -> T:
    if not isinstance(known, dict):
        raise LeaseFormError("it is no JSON object")
    if not known.keys() <= readers.keys():
        raise LeaseFormError("it has members that this version doesn't know")
    read, name = {}, ""
    try:
        for name, value in known.items():
            read[name] = readers[name](value)
    except LeaseFormError as error:
        raise LeaseFormError(f"{name}: {error}") from None
    try:
        return kind(**read)
    except TypeError:
        raise LeaseFormError("it lacks a member") from None


def _number(least: float, most: float) -> Read:
    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise LeaseFormError(f"it is no number from {least:g} to {most:g}")
        return value

    return read


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MOST_THINGS:
        raise LeaseFormError(f"it is no whole number from 0 to {_MOST_THINGS}")
    return value


def _used(value: Any) -> float:
    used: float = max(0, _AMOUNT_OR_ROUNDING(value))
    return used


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MOST_LETTERS:
        raise LeaseFormError("it is no short text")
    return value


def _budget(value: Any) -> str:
    if value not in BUDGETS:
        raise LeaseFormError("it is the name of no budget")
    return str(value)


def _or_none(read: Read) -> Read:
    return lambda value: None if value is None else read(value)


def _each(read: Read) -> Read:
    def read_all(known: Any) -> dict[str, Any]:
        if not isinstance(known, dict):
            raise LeaseFormError("it is no JSON object")
        return {name: read(value) for name, value in known.items()}

    return read_all


def _amount(known: Any) -> Amount:
    return _made(Amount, known, {"requests": _used, "tokens": _used, "cost_usd": _used})


def _lease(known: Any) -> Lease:
    return _made(Lease, known, _LEASE)


_AMOUNT_OR_ROUNDING = _number(-_ROUNDING, MOST)
_TIME = _number(0.0, MOST)
_LEVEL = _number(-MOST, MOST)
_LIMIT = _or_none(_number(0, MOST))
_LIMITS: dict[str, Read] = {
    "concurrency": _or_none(_whole),
    "requests_per_minute": _LIMIT,
    "tokens_per_minute": _LIMIT,
    "max_requests": _LIMIT,
    "max_total_tokens": _LIMIT,
    "max_cost_usd": _LIMIT,
}
_LEASE: dict[str, Read] = {
    "pool": _text,
    "slots": _whole,
    "requests": _whole,
    "spent": _amount,
    "refusal": _or_none(_budget),
    "next_s": _number(0.001, _LONGEST_S),
}
_REQUEST: dict[str, Read] = {
    "member": _text,
    "number": _whole,
    "limits": lambda known: _made(Limits, known, _LIMITS),
    "budget": _text,
    "pool": _or_none(_text),
    "spent_before": _amount,
    "in_use": _whole,
    "wants_slots": _whole,
    "sent": _amount,
    "settled": _amount,
    "estimated": _amount,
    "in_flight": _amount,
    "kept": _whole,
    "waiting": _whole,
    "spare": _whole,
    "need": _amount,
}
_MEMBER: dict[str, Read] = {
    "flow": _text,
    "budget": _text,
    "number": _whole,
    "seen_at": _TIME,
    "served_at": _TIME,
    "slots": _whole,
    "wants_slots": _whole,
    "waiting": _whole,
    "in_flight": _amount,
    "granted": _amount,
    "answer": _or_none(_lease),
}
_FLOW: dict[str, Read] = {"requests": _LEVEL, "tokens": _LEVEL, "filled_at": _TIME}
_STATE: dict[str, Read] = {
    "id": _text,
    "flows": _each(lambda known: _made(Flow, known, _FLOW)),
    "spent": _each(_amount),
    "members": _each(lambda known: _made(Member, known, _MEMBER)),
}
