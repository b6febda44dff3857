"""Which model parameter a refusal names, in the words that vendors and servers have for it."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import orjson

from gateway_batch.apis.parameter_table import TABLE
from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.types import AnyRequest

Call = TypeVar("Call", bound=AnyRequest)

_STATUSES = frozenset({400, 422})
_DEEPEST = 6
_LONGEST = 4_000
_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
_NAME = r"['\"`]?([A-Za-z_][\w.]{0,63})['\"`]?"
_WORDINGS = tuple(
    re.compile(wording, re.IGNORECASE)
    for wording in (
        rf"unsupported (?:parameter|value):? {_NAME}",
        rf"unknown (?:parameter|name|field):? {_NAME}",
        rf"unrecognized request arguments? supplied: {_NAME}",
        rf"(?:^|[\s\"]){_NAME}: extra inputs are not permitted",
        rf"does not support (?:the )?parameters?:? \[?{_NAME}",
        rf"{_NAME} (?:is|are) (?:not supported|deprecated|not available) (?:with|for|by) (?:this|the) model",
        rf"unexpected keyword argument {_NAME}",
    )
)
_LOC = re.compile(
    r"['\"]loc['\"]: ?[(\[]['\"]body['\"], ['\"](\w{1,64})['\"][)\]], ?['\"]msg['\"]: ?['\"]extra inputs", re.IGNORECASE
)


def refused_parameter(status: int, body: bytes, sent: Collection[str]) -> str | None:
    """The parameter that a refusal says the service does not take.

    Args:
        status: of the answer.
        body: of the answer.
        sent: the parameters of the call, by the caller's names; another is never returned.
    """
    if status not in _STATUSES:
        return None
    for word in _named(body):
        name = _as_sent(word, sent)
        if name is not None:
            return name
    return None


def refused_optional(error: CallError, optional: Collection[str]) -> str | None:
    """The parameter that a refusal is about, of those that a call may lack: naming one is enough.

    Args:
        error: of the call; its message shows nothing that the caller's own texts say.
        optional: the parameters, by the caller's names.
    """
    if error.kind not in (ErrorKind.BAD_REQUEST, ErrorKind.PERMISSION):
        return None
    message = str(error).lower()
    return next((name for name in optional if name in message), None)


def without(call: Call, names: Collection[str]) -> Call:
    """A call without some of its parameters."""
    if not any(name in names for name in call.parameters):
        return call
    return replace(call, parameters={name: value for name, value in call.parameters.items() if name not in names})


class RefusedParameters:
    """What each service has refused, so that later calls leave it out at once. One event loop's."""

    def __init__(self, most: int = 256) -> None:
        self._refused: OrderedDict[Hashable, frozenset[str]] = OrderedDict()
        self._most = most

    def note(self, service: Hashable, name: str) -> bool:
        """Keeps a parameter in mind; whether it is new, as for one warning."""
        known = self._refused.pop(service, frozenset())
        self._refused[service] = known | {name}
        if len(self._refused) > self._most:
            self._refused.popitem(last=False)
        return name not in known

    def of(self, service: Hashable) -> frozenset[str]:
        """The parameters to leave out."""
        return self._refused.get(service, frozenset())


def _named(body: bytes) -> Iterator[str]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = body[:_LONGEST].decode("utf-8", "replace")
    yield from _in(value, 0)


def _in(value: Any, depth: int) -> Iterator[str]:
    """The names that the texts of an error say, at any depth."""
    if depth > _DEEPEST:
        return
    match value:
        case {"param": str(name), "code": str(code)} if code in _CODES:
            yield name
        case {"type": "extra_forbidden", "loc": ["body", str(name)]}:
            yield name
    if isinstance(value, str):
        text = value[:_LONGEST]
        for wording in (*_WORDINGS, _LOC):
            yield from (found[1] for found in wording.finditer(text))
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("input", "ctx"):  # pydantic's copy of what was sent
                yield from _in(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value[:16]:
            yield from _in(inner, depth + 1)


def _as_sent(word: str, sent: Collection[str]) -> str | None:
    """The caller's name for a parameter that a service names by its own."""
    word = word.removeprefix("body.").removeprefix("generation_config.").rstrip(".")
    if word in sent:
        return word
    for parameter in TABLE:
        paths = (parameter.chat, parameter.responses, parameter.messages, parameter.gemini)
        words = {*parameter.names, *(path for path in paths if path)}
        words |= {name.removeprefix("generationConfig.") for name in words}
        if word in words:
            for name in sent:
                if name in parameter.names:
                    return name
    outer = word.partition(".")[0]
    return outer if outer in sent else None
