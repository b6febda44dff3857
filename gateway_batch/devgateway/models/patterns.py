"""A string that a regular expression matches."""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_PLAIN = {
    codes.CATEGORY_DIGIT: "1",
    codes.CATEGORY_WORD: "a",
    codes.CATEGORY_SPACE: " ",
    codes.CATEGORY_NOT_DIGIT: "a",
    codes.CATEGORY_NOT_WORD: "-",
    codes.CATEGORY_NOT_SPACE: "a",
}
_TRIED = "aA1 -_.,:/@#" + "".join(map(chr, range(33, 127)))


def matching(pattern: str, least: int = 0) -> str:
    """A short string that the pattern matches; of at least a minimum length where repeats allow it.

    Look-around and back-references are left out, so a pattern with them may not match.
    """
    parsed = _parser.parse(pattern)
    for more in range(least + 1):
        text = "".join(_spelled(parsed, more))
        if len(text) >= least and re.search(pattern, text):
            return text
    return "".join(_spelled(parsed, 0))


def _spelled(parsed: Iterable[tuple[Any, Any]], more: int) -> Iterable[str]:
    """The string piece by piece; each repeat runs up to `more` times beyond its least."""
    for code, argument in parsed:
        if code is codes.LITERAL:
            yield chr(argument)
        elif code is codes.NOT_LITERAL:
            yield next(letter for letter in _TRIED if ord(letter) != argument)
        elif code is codes.ANY:
            yield "a"
        elif code is codes.IN:
            yield _member(argument)
        elif code is codes.BRANCH:
            yield from _spelled(argument[1][0], more)
        elif code is codes.SUBPATTERN:
            yield from _spelled(argument[3], more)
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            least, most, inner = argument
            for _ in range(min(most, least + more)):
                yield from _spelled(inner, 0)


def _member(members: list[tuple[Any, Any]]) -> str:
    if members[0][0] is codes.NEGATE:
        return next(letter for letter in _TRIED if not any(_holds(member, letter) for member in members[1:]))
    code, argument = members[0]
    if code is codes.LITERAL:
        return chr(argument)
    return chr(argument[0]) if code is codes.RANGE else _PLAIN[argument]


def _holds(member: tuple[Any, Any], letter: str) -> bool:
    code, argument = member
    if code is codes.LITERAL:
        return ord(letter) == int(argument)
    if code is codes.RANGE:
        return bool(argument[0] <= ord(letter) <= argument[1])
    return _in_category(argument, letter)


def _in_category(category: Any, letter: str) -> bool:
    is_in = {
        codes.CATEGORY_DIGIT: letter.isdigit(),
        codes.CATEGORY_WORD: letter.isalnum() or letter == "_",
        codes.CATEGORY_SPACE: letter.isspace(),
    }
    if category in is_in:
        return is_in[category]
    opposite = {
        codes.CATEGORY_NOT_DIGIT: codes.CATEGORY_DIGIT,
        codes.CATEGORY_NOT_WORD: codes.CATEGORY_WORD,
        codes.CATEGORY_NOT_SPACE: codes.CATEGORY_SPACE,
    }
    return not is_in[opposite[category]]
