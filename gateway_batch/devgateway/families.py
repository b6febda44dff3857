"""Which models Databricks' ready-made services have, by families of names: new ones come every month."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from gateway_batch.devgateway.ask import Kind

BARE = "databricks-"
READY_MADE = "system.ai."

FAMILIES: dict[str, Kind] = {
    "*-embedding": Kind.EMBEDDINGS,
    "*-embedding-*": Kind.EMBEDDINGS,
    "gte-*": Kind.EMBEDDINGS,
    "bge-*": Kind.EMBEDDINGS,
    "e5-*": Kind.EMBEDDINGS,
    "gpt-*": Kind.CHAT,
    "claude-*": Kind.CHAT,
    "gemini-*": Kind.CHAT,
    "gemma-*": Kind.CHAT,
    "llama-*": Kind.CHAT,
    "meta-llama-*": Kind.CHAT,
    "qwen*": Kind.CHAT,
    "deepseek-*": Kind.CHAT,
    "glm-*": Kind.CHAT,
    "kimi-*": Kind.CHAT,
    "inkling*": Kind.CHAT,
    "mistral-*": Kind.CHAT,
    "mixtral-*": Kind.CHAT,
    "dbrx-*": Kind.CHAT,
}
"""Models by the name that follows `databricks-` or `system.ai.`; the first family that has a name decides."""

_LONGEST = 255
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def _pattern(family: str) -> re.Pattern[str]:
    return re.compile(re.escape(family).replace(r"\*", "[a-z0-9-]*"))


_PATTERNS = tuple((_pattern(family), kind) for family, kind in FAMILIES.items())


def kind_of(model: str) -> Kind | None:
    """What a model of one of the families is for; None for any other name."""
    if len(model) > _LONGEST or _NAME.fullmatch(model) is None:
        return None
    return next((kind for pattern, kind in _PATTERNS if pattern.fullmatch(model)), None)


def full_name(name: str) -> str:
    """The three-part name: a bare `databricks-x` means `system.ai.x`."""
    return READY_MADE + name.removeprefix(BARE) if name.startswith(BARE) and "." not in name else name


def short_name(name: str) -> str:
    """Without what says that a service is ready-made."""
    return name.removeprefix(READY_MADE).removeprefix(BARE)


def near_names(name: str, services: Iterable[str]) -> list[str]:
    """The services, at most three, whose names are most like one that there is none of, as its writer spells them."""
    if len(name) > _LONGEST:
        return []
    prefix = READY_MADE if name.startswith(READY_MADE) else BARE
    spelled = {
        short_name(service): prefix + short_name(service) if service.startswith(READY_MADE) else service
        for service in services
    }
    return [spelled[found] for found in get_close_matches(short_name(name.lower()), spelled, 3)]
