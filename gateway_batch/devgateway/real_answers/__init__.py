"""Answers of real model services as they stand on the wire, each with what it means.

They are data, the `*.toml` files next to this module. A file holds the answers in one wire format; its entries are
`[[answer]]` tables with the fields of `RealAnswer`. The bodies are written after what the named source documents or
reports. Where a server repeats the prompt, the body has the word PROMPT-MARKER, and ANSWER-MARKER where it has a
model's text: neither may get into an error, a log or a ledger.
"""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

PROMPT_MARKER = "PROMPT-MARKER"
ANSWER_MARKER = "ANSWER-MARKER"

FORMATS = {
    "openai_chat": "openai/v1/chat/completions",
    "openai_responses": "openai/v1/responses",
    "openai_embeddings": "openai/v1/embeddings",
    "anthropic_messages": "anthropic/v1/messages",
    "gemini": "gemini/v1/generateContent",
    "mlflow_scoring": "mlflow/v1/invocations",
}
"""The files, and the `api_type` whose adapter reads their answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealAnswer:
    """One answer of a service, and what it means.

    Attributes:
        api: the `api_type` that it is an answer of.
        name: unique over all formats, words joined by hyphens.
        status, headers, body: as on the wire. Header names are in lower case.
        source: where it is documented or reported: a repository's issue, a file of a vendor's SDK, a page.
        kind: the kind of error that it is; None for a result.
        text: the result of a chat call.
        value: the result of another call.
        finish_reason, input_tokens, output_tokens, reasoning_tokens, cache_read_tokens: what it reports, of a result
            and of an error; None where it says nothing of it.
        retry_after_s: how long it asks to wait; None where it asks for nothing.
        message_has: words that the error's message holds.
        retried: whether a row that gets it, with all others answered, is sent again.
        note: what may be debated.
    """

    api: str
    name: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str
    source: str
    kind: str | None = None
    text: str | None = None
    value: Any = None
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_read_tokens: int | None = None
    retry_after_s: float | None = None
    message_has: tuple[str, ...] = ()
    retried: bool = False
    note: str = ""


@functools.cache
def real_answers() -> Mapping[str, RealAnswer]:
    """All answers by their names, in the order of the files.

    Raises:
        ValueError: two have the same name.
    """
    found: dict[str, RealAnswer] = {}
    for stem, api in FORMATS.items():
        for entry in tomllib.loads((files(__name__) / f"{stem}.toml").read_text("utf-8"))["answer"]:
            answer = RealAnswer(api=api, **entry | {"message_has": tuple(entry.get("message_has", ()))})
            if answer.name in found:
                raise ValueError(f"two real answers have the name {answer.name!r}")
            found[answer.name] = answer
    return found


def real_answer(name: str) -> RealAnswer:
    """The answer with a name.

    Raises:
        ValueError: there is none; says which names are near.
    """
    known = real_answers()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.4)
    hint = f"near it: {', '.join(near)}" if near else "docs/real-answers.md lists them"
    raise ValueError(f"there is no real answer {name!r}; {hint}")
