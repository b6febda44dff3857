"""What an answer says of its use beyond its token counts: the service tier, any other number, counts that can't be."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from typing import Any

from gateway_batch.apis.replies import as_count
from gateway_batch.apis.usage_blocks import last_blocks
from gateway_batch.types import HttpReply, JsonObject, TokenUsage

MOST_ENTRIES = 32
LONGEST_KEY = 128
_LONGEST_NUMBER = 40
_MOST_BYTES = 4_800  # of all entries as JSON: the room that is set aside for an outcome is bounded

_KEY = re.compile(rf"[A-Za-z0-9_.:/\-]{{1,{LONGEST_KEY}}}")  # a word: a key with a space or a quote may be some text
_TIER = re.compile(r"[A-Za-z0-9_\-]{1,64}")


class _Number(str):
    """A JSON number as it is written."""

    __slots__ = ()


_AS_WRITTEN = json.JSONDecoder(parse_float=_Number, parse_int=_Number)
_KINDS = frozenset({int, float, _Number})


def with_others(
    usage: TokenUsage, body: JsonObject, name: str, counted: frozenset[str], reply: HttpReply
) -> TokenUsage:
    """The usage with the service tier, if it is a short word, and the numbers of its block that no column takes.

    These are numbers that no column is for, and counts that no request can have. The first 32 are kept whose path is a
    word of at most 128 characters: as they are written in the answer. Never any other text, as a gateway may echo what
    it was sent.

    Args:
        usage: the counts.
        body: the answer.
        name: of the usage block in it.
        counted: paths in the block that have columns. A path is keys, and places in lists, joined by dots.
        reply: what the body was read from.
    """
    block, tier = body.get(name), body.get("service_tier")
    if not isinstance(block, dict):
        block = {}
    if tier is None:
        if block.keys() <= counted and not any(map(_is_no_count, block.values())):
            return usage
        tier = block.get("service_tier")
    numbers: dict[str, Any] = {}
    _gather(block, "", numbers)
    found = {path: number for path, number in numbers.items() if path not in counted or _is_no_count(number)}
    if float in map(type, found.values()):
        found = _as_written(found, name, reply.body)
    tier = tier if isinstance(tier, str) and _TIER.fullmatch(tier) else None
    return TokenUsage(
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        usage.cache_read_tokens,
        usage.cache_creation_tokens,
        usage.reasoning_tokens,
        service_tier=tier,
        other=_few(found),
    )


def _is_no_count(number: Any) -> bool:
    return type(number) in _KINDS and as_count(number) is None


def _gather(value: dict[str, Any] | list[Any], above: str, found: dict[str, Any]) -> None:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        kind = type(inner)
        if kind in _KINDS:
            found[f"{above}{key}"] = inner
        elif kind is dict or kind is list:
            below = f"{above}{key}."
            if len(below) <= LONGEST_KEY:
                _gather(inner, below, found)


def _as_written(found: dict[str, Any], name: str, body: bytes) -> dict[str, Any]:
    """The numbers' own texts, which no float keeps; the numbers themselves where the block is not found again.

    The body is not read again from its begin, as it may be long.
    """
    for _, block in last_blocks(body, name):
        texts: dict[str, Any] = {}
        with contextlib.suppress(ValueError, RecursionError, KeyError):  # another member of that name
            _gather(_AS_WRITTEN.raw_decode(block)[0], "", texts)
            if all(type(number)(texts[path]) == number for path, number in found.items()):
                return {path: texts[path] for path in found}
    return found


def _few(found: dict[str, Any]) -> dict[str, str] | None:
    kept: dict[str, str] = {}
    room = _MOST_BYTES
    for path, number in found.items():
        text = str(number)
        if len(text) <= _LONGEST_NUMBER and _is_word(path):
            room -= len(path) + len(text) + 6
            if room < 0 or len(kept) == MOST_ENTRIES:
                break
            kept[path] = text
    return kept or None


@functools.lru_cache(1024)
def _is_word(path: str) -> bool:
    return _KEY.fullmatch(path) is not None
