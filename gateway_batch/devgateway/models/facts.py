"""What a text has to offer to fill a form: its numbers, names, dates, addresses and labelled values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from itertools import count

from gateway_batch.devgateway.models.prose import keywords

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:[.,]\d{3})*(?:\.\d+)?(?![\w])")
_PROPER = re.compile(r"\b[A-Z][\w'\u2019-]+(?: [A-Z][\w'\u2019-]+)+|(?<=[a-z,;] )[A-Z][\w'\u2019-]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FORMATS = {
    "date": re.compile(r"\b\d{4}-\d{2}-\d{2}\b"),
    "date-time": re.compile(r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})"),
    "email": re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"),
    "uri": re.compile(r"\bhttps?://[^\s\"'<>)]+[^\s\"'<>).,;]"),
    "ipv4": re.compile(r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b"),
    "uuid": re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE),
}


def spelled(name: str) -> str:
    """A property's name as words: `unitPrice` and `unit_price` are `unit price`."""
    return _CAMEL.sub(" ", name).replace("_", " ").replace("-", " ").lower().strip()


class Facts:
    """A text, looked through once for each kind of thing.

    Attributes:
        turn: which of several to take; grows with each array item, so that items differ.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.turn = 0

    @cached_property
    def numbers(self) -> list[float]:
        """All numbers, in their order."""
        return [float(found.replace(",", "")) for found in _NUMBER.findall(self.text)]

    @cached_property
    def proper_names(self) -> list[str]:
        """Capitalised words in the middle of a sentence, and runs of them anywhere."""
        return list(dict.fromkeys(_PROPER.findall(self.text)))

    @cached_property
    def keywords(self) -> list[str]:
        """The words that mean something, each once."""
        return list(dict.fromkeys(keywords(self.text)))

    def names(self) -> Iterator[str]:
        """Endless distinct names: the keywords, then numbered ones."""
        yield from self.keywords
        yield from (f"field_{number}" for number in count(1))

    def formatted(self, kind: str) -> list[str]:
        """What in the text has a JSON schema's `format`."""
        pattern = _FORMATS.get(kind)
        return [found.group() for found in pattern.finditer(self.text)] if pattern else []

    def labelled(self, name: str) -> str | None:
        """What stands behind the name and a colon, an equals sign or the word `is`, unless it is being asked."""
        label = re.escape(spelled(name)).replace(r"\ ", r"[\s_-]*")
        found = re.search(rf"\b{label}\b\"?\s*(?::|=|\bis\b)\s*\"?([^\n,;\"]+)", self.text, re.IGNORECASE)
        said = re.match(r"(.*?)(?:[.!](?:\s|$)|(\?)|$)", found[1]) if found else None
        return said[1].strip() or None if said and not said[2] else None

    def proper_name_with(self, name: str) -> str | None:
        """The first proper name that has the name, or a word of it, as one of its words."""
        wanted = set(spelled(name).split())
        return next((found for found in self.proper_names if wanted & set(found.lower().split())), None)

    def number_near(self, name: str) -> float | None:
        """The first number close behind the name."""
        label = re.escape(spelled(name)).replace(r"\ ", r"[\s_-]*")
        found = re.search(rf"\b{label}\b[^\d\n.-]{{0,20}}(-?\d+(?:\.\d+)?)", self.text, re.IGNORECASE)
        return float(found[1]) if found else None
