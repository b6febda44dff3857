"""Extractive summaries: the sentences that share most with the rest, in their own order."""

from __future__ import annotations

import re
from collections import Counter

from gateway_batch.devgateway.models.prose import keywords, salience, sentences, shorten

_ASKED = re.compile(r"\b(summari[sz]e|summary|tl;?dr)\b", re.IGNORECASE)
_INSTRUCTION = re.compile(r"^[^\n:]{0,200}?\b(?:summari[sz]e|summary|tl;?dr)\b[^\n:]{0,160}:\s*", re.IGNORECASE)
_WORDS = re.compile(r"(\d+)\s+words", re.IGNORECASE)
_LEAST = 3
_USUAL = 50


def wants_summary(instruction: str) -> bool:
    """Whether a prompt's first line asks for one."""
    return _ASKED.search(instruction[:300]) is not None


def summarise(prompt: str) -> str:
    """A summary of what follows the instruction, shorter than it unless that is a few words."""
    text = _INSTRUCTION.sub("", prompt, count=1).strip() or prompt.strip()
    asked = _WORDS.search(prompt[: len(prompt) - len(text)])
    most = int(asked[1]) if asked else _USUAL
    return summary_of(text, max(1, min(most, len(text.split()) * 3 // 5 or 1)))


def summary_of(text: str, most: int) -> str:
    """The weightiest sentences of a text, up to a number of words."""
    found = sentences(text)
    if not found:
        return shorten(text, most)
    ranked = salience(found, Counter(keywords(text)))
    kept = [ranked[0]]
    room = most - len(ranked[0][2].split())
    for entry in ranked[1:]:
        if len(kept) == _LEAST or len(entry[2].split()) > room:
            break
        kept.append(entry)
        room -= len(entry[2].split())
    return shorten(" ".join(sentence for _, _, sentence in sorted(kept, key=lambda entry: -entry[1])), most)
