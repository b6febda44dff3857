"""Hides a prompt that a service repeats in its refusal: an error's text goes to logs and tables, a prompt does not."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SHOWN_AS = "[...]"
_FEWEST_SAME = 12
"""Letters and digits in a row that a message and a prompt have in common by chance; more are an echo."""
_SHORTEST_PROMPT = 6

_CHARACTERS = re.compile(r"\\+u(?!d[89a-f])([0-9a-f]{4})", re.IGNORECASE)
_ESCAPES = re.compile(r"\\+[nrtbf]|\\+")
_CODE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")  # as services write them, and no text
_OTHERS = re.compile(r"[\W_]+")


def without_prompts(message: str, prompts: Iterable[str]) -> str:
    """A message with `[...]` in the place of what it repeats of any of the prompts, however it is quoted or escaped."""
    if "\\u" in message:
        message = _CHARACTERS.sub(lambda escape: chr(int(escape[1], 16)), message)
    for prompt in prompts:
        message = _without(message, prompt)
    return message


def _without(message: str, prompt: str) -> str:
    wanted = _OTHERS.sub("", prompt).lower()
    fewest = min(_FEWEST_SAME, len(wanted))
    if fewest < _SHORTEST_PROMPT:
        return message
    places, letters = _letters(message)
    found: list[tuple[int, int]] = []
    at = 0
    while at + fewest <= len(letters):
        if letters[at : at + fewest] not in wanted:
            at += 1
            continue
        end = at + fewest
        while end < len(letters) and letters[at : end + 1] in wanted:
            end += 1
        begin, behind = places[at], places[end - 1] + 1
        if not _CODE.fullmatch(message, begin, behind):
            found.append((begin, behind))
        at = end
    for begin, end in reversed(found):
        message = message[:begin] + _SHOWN_AS + message[end:]
    return message


def _letters(message: str) -> tuple[list[int], str]:
    """The letters and digits of a message in lower case, and where each stands."""
    blanked = _ESCAPES.sub(lambda escape: " " * len(escape[0]), message)
    places = [place for place, character in enumerate(blanked) if character.isalnum()]
    return places, "".join(blanked[place].lower()[:1] for place in places)
