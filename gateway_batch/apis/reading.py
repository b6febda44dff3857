"""The border around an answer: whatever it holds, it is a result or the error of its row, and shows no token."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from gateway_batch.apis.echoed_prompts import without_prompts
from gateway_batch.apis.registry import Api
from gateway_batch.apis.replies import invalid_response
from gateway_batch.apis.secrets import masked
from gateway_batch.apis.usage_blocks import last_blocks
from gateway_batch.errors import CallError, MalformedError
from gateway_batch.types import HttpReply, InferenceResult, JsonObject

_LONGEST_REASON = 100


def read_answer(
    api: Api[Any], reply: HttpReply, *tokens: str | None, prompts: Callable[[], Iterable[str]] = tuple
) -> InferenceResult:
    """What an answer says.

    Args:
        api: the wire format.
        reply: the answer.
        tokens: those that its request carried, and other secrets; None for none.
        prompts: gives the texts that its request asked about, for an error's message to show none of them.

    Raises:
        CallError: it is a refusal, or none that can be read; `paid` has the tokens that it reports all the same. It
            refers to nothing of the answer: an error may be kept for long.
    """
    failure: CallError
    try:
        return _without_tokens(api.parse(reply), *tokens)
    except MalformedError as error:
        failure = error
        if error.paid is None and (paid := _paid(api, reply)) is not None:
            failure = invalid_response(reply, str(error), paid)
    except CallError as error:
        failure = error
    except Exception as error:
        failure = invalid_response(reply, f"the answer can't be read ({type(error).__name__})", _paid(api, reply))
    failure.args = (without_prompts(masked(str(failure), *tokens), prompts()), *failure.args[1:])
    if failure.paid is not None:
        failure.paid = _without_tokens(failure.paid, *tokens)
    failure.__cause__ = failure.__context__ = None
    raise failure.with_traceback(None)


def _without_tokens(result: InferenceResult, *tokens: str | None) -> InferenceResult:
    """A result whose names don't show the tokens: they are recorded, or part of a row's details."""
    shortest = min(map(len, filter(None, tokens)), default=math.inf)
    longest = len(result.finish_reason or "")
    if longest <= _LONGEST_REASON and max(len(result.model or ""), longest) < shortest:
        return result
    model, ending = (text and masked(text, *tokens) for text in (result.model, result.finish_reason))
    return replace(result, model=model, finish_reason=ending and ending[:_LONGEST_REASON])


def _paid(api: Api[Any], reply: HttpReply) -> InferenceResult | None:
    """The tokens in the last usage block of an answer that is not understood; None where there are none."""
    if not 200 <= reply.status < 300:
        return None
    for name, text in last_blocks(reply.body, "usage", "usageMetadata"):
        if (block := _first_object(text)) is not None:
            usage = api.usage({name: block}, reply)
            if usage.total_tokens is not None or usage.output_tokens is not None:
                return InferenceResult("", usage=usage)
    return None


def _first_object(text: str) -> JsonObject | None:
    try:
        found = json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
