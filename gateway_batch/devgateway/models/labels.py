"""Choosing one of several labels for a text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway_batch.devgateway.models.prose import words

_ASKED = re.compile(r"\b(classif\w+|categori[sz]\w+|label|which of)\b", re.IGNORECASE)
_LIST = r"[:\[(\s]*(?P<list>[^:.?\n\[\]()]+?(?:,|\bor\b)[^:.?\n\[\]()]+)"
_NOUNS = "labels|categories|classes|options"
_LISTED = (
    re.compile(rf"\b(?:one of|{_NOUNS})\b(?:\s+(?:the|these|following|are|{_NOUNS})\b)*{_LIST}", re.IGNORECASE),
    re.compile(rf"\b(?:as|into|either)\b{_LIST}", re.IGNORECASE),
)
_SEPARATOR = re.compile(r"\s*,\s*(?:or|and)\s+|\s*,\s*|\s+or\s+|\s+and\s+")
_STEM = 4
_MOST_WORDS = 5

_SIGNS = {
    "positive": "amazing best delighted excellent fantastic fast friendly good great happy helpful love loved lovely "
    "nice perfect pleased recommend superb thank thanks well wonderful works",
    "negative": "angry awful bad broke broken bug crash crashed damaged defective disappointed disappointing fail "
    "failed fails hate horrible late never poor refund rude slow terrible unhappy useless worst wrong",
    "billing": "bill billed card charge charged charges credit fee invoice paid payment price refund subscription",
    "technical": "app bug connect crash crashes error fails install login network password screen server update",
    "shipping": "arrive arrived courier deliver delivered delivery late package parcel shipped tracking",
    "sports": "championship coach cup game goal league match olympic player season team tournament won",
    "politics": "campaign congress election government minister parliament party policy president senate vote",
    "business": "bank company earnings economy market merger profit revenue sales shares stock trade",
    "science": "astronomers cells experiment lab nasa physics planet research researchers scientists species study",
    "urgent": "asap emergency immediately now outage urgent urgently",
}
_SIGN_SETS = {label: frozenset(signs.split()) for label, signs in _SIGNS.items()}


def wants_label(instruction: str) -> bool:
    """Whether a prompt asks to classify."""
    return _ASKED.search(instruction[:400]) is not None


def _find_list(prompt: str) -> re.Match[str] | None:
    return next((found for pattern in _LISTED if (found := pattern.search(prompt))), None)


def _split(listed: str) -> list[str]:
    labels = [label.strip(" \t\"'`*") for label in _SEPARATOR.split(listed)]
    return [label for label in labels if label and len(label.split()) <= _MOST_WORDS]


def listed_labels(prompt: str) -> list[str]:
    """The labels a prompt names, empty if it names fewer than two."""
    found = _find_list(prompt)
    labels = _split(found["list"]) if found else []
    return labels if len(labels) > 1 else []


def classify(prompt: str) -> str | None:
    """The best of the labels that a prompt lists, for the text around the list; None if it lists none."""
    found, labels = _find_list(prompt), listed_labels(prompt)
    if not found or not labels:
        return None
    return best_label(labels, prompt[: found.start("list")] + " " + prompt[found.end("list") :])


def best_label(labels: Sequence[str], text: str) -> str:
    """The label whose own words, or words known to go with it, occur most; the first of equals.

    Of moods, `mixed` needs both and `neutral` neither.
    """
    found = words(text)
    scores = {label: _score(label, found) for label in labels}
    moods = {label.lower(): label for label in labels}
    good, bad = _signs("positive", found), _signs("negative", found)
    if "mixed" in moods and good and bad:
        return moods["mixed"]
    if "neutral" in moods and not any(scores.values()):
        return moods["neutral"]
    return max(labels, key=lambda label: scores[label])


def _score(label: str, found: list[str]) -> float:
    own = [word[:_STEM] for word in words(label.replace("_", " "))]
    named = sum(any(word.startswith(stem) for word in found) for stem in own if len(stem) == _STEM)
    return named + sum(_signs(word, found) for word in words(label.replace("_", " ")))


def _signs(label: str, found: list[str]) -> int:
    signs = _SIGN_SETS.get(label)
    return sum(word in signs for word in found) if signs else 0
