"""How a chat answer ended, and whether it is a result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import orjson

from gateway_batch.apis.replies import invalid_response
from gateway_batch.errors import ErrorKind, MalformedError
from gateway_batch.types import HttpReply, InferenceResult

CUT_OFF = frozenset({"length", "model_length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"})
"""Finish reasons, in lower case, of answers that a limit cut off."""

WITHHELD = frozenset(
    {
        "blocklist",
        "content_filter",
        "content_filtered",
        "guardrail_intervened",
        "image_prohibited_content",
        "image_safety",
        "input_guardrail_triggered",
        "language",
        "output_guardrail_triggered",
        "prohibited_content",
        "recitation",
        "refusal",
        "safety",
        "spii",
    }
)
"""Likewise, of answers that a filter or the model itself withheld, or a part of them."""

_END_TOKENS = 3
"""A model that ends at once writes so many tokens at most."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why an answer ended as it did, where that matters.

    Attributes:
        kind: of the error that it is where it has no text.
        what: happened, for people.
        is_broken: an answer with text is an error, too: it was broken off.
    """

    kind: ErrorKind
    what: str
    is_broken: bool = False


CUT = Ending(ErrorKind.INVALID_RESPONSE, "max_tokens was reached before any text")
FILTERED = Ending(ErrorKind.POLICY, "a content filter withheld the answer")
REFUSED = Ending(ErrorKind.POLICY, "the model refused")
CALLED = Ending(ErrorKind.INVALID_RESPONSE, "the model called a tool, and gave no text")


def broken(how: str) -> Ending:
    """The ending of an answer that the service broke off; `how` is its word for it."""
    return Ending(ErrorKind.NO_ANSWER, f"the answer was broken off: {how[:100]}", is_broken=True)


def text_result(
    reply: HttpReply,
    paid: InferenceResult,
    text: str | None,
    *,
    ending: Ending | None,
    has_reasoning: bool,
    where: str,
    logprobs: Any = None,
) -> InferenceResult:
    """A chat answer's result. One that was cut or filtered is a result if it has text.

    Args:
        reply: the answer.
        paid: its model, tokens and finish reason.
        text: what the model said; None if the answer has no place for it.
        ending: what would explain that there is no text.
        has_reasoning: whether the answer has the model's reasoning.
        where: the place of the text in this API's answers.
        logprobs: of its tokens, as the API has them.

    Raises:
        CallError: there is no text where there should be some, or it was broken off; `paid` has its tokens.
    """
    if text and (ending is None or not ending.is_broken):
        return InferenceResult(text, paid.usage, paid.model, finish_reason=paid.finish_reason, logprobs=logprobs)
    written, thought = paid.usage.output_tokens, has_reasoning or bool(paid.usage.reasoning_tokens)
    if ending is None:
        if text == "" and not thought and (written is None or written <= _END_TOKENS):
            return InferenceResult(text, paid.usage, paid.model, finish_reason=paid.finish_reason)
        if text is None and not thought:
            raise invalid_response(reply, f"no text at {where}", paid)
        ending = Ending(ErrorKind.NO_ANSWER, "the model gave reasoning and no text" if thought else "the text is empty")
    tokens = f" ({written:,} tokens of output)" if ending.kind is ErrorKind.NO_ANSWER and written is not None else ""
    raise MalformedError(
        ending.kind, f"{ending.what}{tokens}", status=reply.status, request_id=reply.request_id, paid=paid
    )


def check_whole_json(result: InferenceResult, reply: HttpReply) -> None:
    """Refuses an answer that was to be JSON, and was cut off before it was whole.

    Raises:
        MalformedError: it was; `paid` has its tokens.
    """
    if (result.finish_reason or "").lower() not in CUT_OFF or not isinstance(result.value, str):
        return
    try:
        orjson.loads(result.value)
    except orjson.JSONDecodeError:
        written = result.usage.output_tokens
        after = "" if written is None else f" after {written:,} tokens"
        what = f"the answer was cut off{after}, before its JSON was whole: raise max_tokens, or ask for less"
        raise invalid_response(reply, what, replace(result, value="")) from None
