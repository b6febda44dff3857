"""Which models an endpoint's own server lists (`GET /models`), as OpenAI's API, Anthropic's and Gemini's do."""

from __future__ import annotations

from typing import Any

import orjson

from gateway_batch.errors import ConfigError, UnreachableError
from gateway_batch.transport.control_calls import get

_SHOWN = 5


def listing_says(url: str, model: str, headers: dict[str, str], within_s: float) -> str | None:
    """A clause about whether the server lists the model; None where it has no list, or has more than it shows.

    Args:
        url: of the list, e.g. `http://127.0.0.1:11434/v1/models`.
        model: the name that calls send.
        headers: those of its calls, the key among them.
        within_s: seconds for each step of the call.
    """
    names, whole = _listed(url, headers, within_s)
    if model in names:
        return "lists the model"
    if not names or not whole:
        return None
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"does not list {model}, but {shown}"


def _listed(url: str, headers: dict[str, str], within_s: float) -> tuple[list[str], bool]:
    try:
        reply = get(url, headers, within_s)
        page = orjson.loads(reply.body) if reply.status == 200 else None
    except (ConfigError, UnreachableError, orjson.JSONDecodeError):
        return [], False
    return _names(page), isinstance(page, dict) and not (page.get("has_more") or page.get("nextPageToken"))


def _names(page: Any) -> list[str]:
    match page:
        case {"data": [*models]}:
            found = [model.get("id") for model in models if isinstance(model, dict)]
        case {"models": [*models]}:
            found = [model.get("name") for model in models if isinstance(model, dict)]
        case _:
            found = []
    return [name.removeprefix("models/") for name in found if isinstance(name, str)]
