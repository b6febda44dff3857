"""How many texts an embedding service takes at once, as its refusal of more says it."""

from __future__ import annotations

import re

_MOST_TEXTS = 2048
_SEVERAL = re.compile(r"\b(?:batch|array|inputs|texts|documents|items|instances|contents|requests)\b", re.IGNORECASE)
_MOST = re.compile(
    r"(?:at most|up to|max(?:imum)?|limit|(?:larg|great|long)er than|more than|exceeds?|less than(?: or equal to)?)\b"
    r"[^.;\d]{0,60}?\b(\d{1,4})\b(?!\s*(?:tokens?|characters?|bytes|words|dimensions))",
    re.IGNORECASE,
)


def most_texts(message: str) -> int | None:
    """The number of texts that a refusal says are taken at once; None where it is about something else."""
    found = _MOST.search(message) if _SEVERAL.search(message) else None
    number = int(found[1]) if found is not None else 0
    return number if 1 <= number <= _MOST_TEXTS else None
