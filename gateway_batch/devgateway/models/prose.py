"""Sentences and words of a text, and which of them matter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_SENTENCE = re.compile(r"[^\s.!?][^.!?\n]*(?:[.!?](?![\s\"')\]]|$)[^.!?\n]*)*[.!?]*[\"')\]]*")
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_STOP_WORD_LIST = """
a about after all also an and any are as at be because been before but by can could did do does for from had has
have he her his how i if in into is it its just may me more most my no not of on only or other our out over please
she should so some such than that the their them then there these they this to under up us was we were what when
where which while who will with would you your
"""
STOP_WORDS = frozenset(_STOP_WORD_LIST.split())
_LONGEST = 20_000


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.lower())


def keywords(text: str) -> list[str]:
    """The words that carry meaning, repeated as in the text."""
    return [word for word in words(text) if word not in STOP_WORDS]


def sentences(text: str) -> list[str]:
    """The sentences of a text, or its lines where it has no full stops."""
    return [found.strip() for found in _SENTENCE.findall(text[:_LONGEST]) if _WORD.search(found)]


def salience(candidates: Iterable[str], weights: Counter[str]) -> list[tuple[float, int, str]]:
    """Each sentence with its place, the one with the weightiest words first; ties go to the earlier one."""
    scored = []
    for place, sentence in enumerate(candidates):
        found = set(keywords(sentence))
        score = sum(weights[word] for word in found) / (len(found) + 3) if found else 0.0
        scored.append((score, -place, sentence))
    return sorted(scored, reverse=True)


def shorten(text: str, most: int) -> str:
    """The first words of a text, without a dangling end."""
    parts = text.split()
    return text.strip() if len(parts) <= most else " ".join(parts[:most]).rstrip(",;:-")
