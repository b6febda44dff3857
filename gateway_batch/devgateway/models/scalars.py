"""Strings, numbers, booleans and enum members that keep to a schema, taken from a text where it has one."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway_batch.devgateway.models.facts import Facts, spelled
from gateway_batch.devgateway.models.labels import best_label
from gateway_batch.devgateway.models.patterns import matching
from gateway_batch.devgateway.models.prose import shorten
from gateway_batch.devgateway.models.scores import score
from gateway_batch.devgateway.models.summary import summary_of

_SAMPLES = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_NAMED_FORMATS = {"email": "email", "date": "date", "url": "uri", "uri": "uri", "website": "uri"}
_SHORT_NAMES = "answer category city company country keyword language name person product subject title topic"
_SHORT = frozenset(_SHORT_NAMES.split())
_NEGATIVE = re.compile(r"\b(no|not|never|none|without|cannot|false)\b|n't\b", re.IGNORECASE)
_LONG_TEXT = 30


def best_member(members: Sequence[Any], name: str, facts: Facts) -> Any:
    """The member of an enum that fits the text best."""
    labels = {str(member): member for member in members}
    said = (facts.labelled(name) or "").lower()
    if said and (exact := next((label for label in labels if label.lower() == said), None)):
        return labels[exact]
    return labels[best_label([label for label in labels if labels[label] is not None] or list(labels), facts.text)]


def as_boolean(name: str, facts: Facts) -> bool:
    """False if the text says so behind the name, or denies anything."""
    said = (facts.labelled(name) or "").lower()
    if said.startswith(("true", "yes")):
        return True
    return _NEGATIVE.search(said or facts.text) is None


def as_number(schema: Mapping[str, Any], name: str, facts: Facts, *, whole: bool) -> int | float:
    """The number behind the name, or the next one of the text that keeps the bounds, or the nearest bound.

    Of a text without numbers a fraction between two bounds is a score, which depends on the name and the text.
    """
    near = facts.number_near(name)
    offered = [near] if near is not None else facts.numbers[facts.turn % max(1, len(facts.numbers)) :]
    if not offered and not whole and {"minimum", "maximum"} <= schema.keys():
        low, high = schema["minimum"], schema["maximum"]
        return _kept(low + (high - low) * round(score(f"{name}: {facts.text}"), 3), schema, whole=False)
    for number in (*offered, float(facts.turn)):
        kept = _kept(number, schema, whole=whole)
        if kept == number:
            return kept
    return _kept(offered[0] if offered else 0.0, schema, whole=whole)


def _kept(number: float, schema: Mapping[str, Any], *, whole: bool) -> int | float:
    """The nearest number that the schema allows."""
    low, high = _bounds(schema, whole=whole)
    step = schema.get("multipleOf") or (1 if whole else None)
    number = min(max(number, low), high)
    if step is None:
        return number
    if whole and step != int(step):
        step = 1
    steps = round(number / step)
    steps = max(steps, math.ceil(low / step)) if math.isfinite(low) else steps
    steps = min(steps, math.floor(high / step)) if math.isfinite(high) else steps
    return int(steps * step) if whole else steps * step


def _bounds(schema: Mapping[str, Any], *, whole: bool) -> tuple[float, float]:
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    inside = _inside(low if above is None else above, high if below is None else below, whole=whole)
    if above is not None and above is not True:
        low = max(low, above + inside)
    if below is not None and below is not True:
        high = min(high, below - inside)
    return low, high


def _inside(low: float, high: float, *, whole: bool) -> float:
    """How far to stay from a bound that is itself not allowed."""
    if whole:
        return 1
    return min(1.0, (high - low) / 4) if math.isfinite(high - low) else 1.0


def as_string(schema: Mapping[str, Any], name: str, facts: Facts) -> str:
    """A string of the schema's format, pattern and length; by name, a proper name, a phrase or a summary."""
    if "pattern" in schema:
        return _patterned(schema, facts)
    words = spelled(name).split()
    kind = schema.get("format") or next((_NAMED_FORMATS[word] for word in words if word in _NAMED_FORMATS), None)
    if kind in _SAMPLES and (found := facts.formatted(kind) or ([_SAMPLES[kind]] if "format" in schema else [])):
        return found[facts.turn % len(found)]
    return _sized(facts.labelled(name) or facts.proper_name_with(name) or _free_text(words, facts), schema)


def _free_text(words: list[str], facts: Facts) -> str:
    if _SHORT & set(words):
        return _turned(facts.proper_names or facts.keywords, facts.turn)
    if facts.turn:
        return _turned(facts.keywords, facts.turn - 1)
    return summary_of(facts.text, _LONG_TEXT) or shorten(facts.text, _LONG_TEXT) or "unknown"


def _turned(offered: Sequence[str], turn: int) -> str:
    """One after the other, numbered from the second round on."""
    if not offered:
        return f"unknown {turn}" if turn else "unknown"
    again, place = divmod(turn, len(offered))
    return f"{offered[place]} {again + 1}" if again else offered[place]


def _sized(text: str, schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    while len(text) < least:
        text = f"{text} {text or 'unknown'}"
    return text if most is None or len(text) <= most else _trimmed(text, least, most)


def _trimmed(text: str, least: int, most: int) -> str:
    trimmed = text[:most].rstrip()
    return trimmed if len(trimmed) >= least else text[:most]


def _patterned(schema: Mapping[str, Any], facts: Facts) -> str:
    pattern = schema["pattern"]
    inner = pattern.removeprefix("^").removesuffix("$")
    try:
        found = [match.group() for match in re.finditer(rf"(?<!\w)(?:{inner})(?!\w)", facts.text)]
        fitting = [text for text in found if re.search(pattern, text) and _sized(text, schema) == text]
    except re.error:
        return _sized("unknown", schema)
    return fitting[facts.turn % len(fitting)] if fitting else matching(pattern, schema.get("minLength", 0))
