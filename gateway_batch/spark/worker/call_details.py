"""What is known of a row's call besides its answer, as `details => true` asks for it.

It is kept with the answer: a row whose request was another's has the details of the one call that there was. Rows of an
embedding service share requests, so they have none of their own.
"""

from __future__ import annotations

from typing import Any

from gateway_batch.errors import AiFunctionError, CallError, as_ai_function_error
from gateway_batch.types import InferenceResult
from gateway_batch.usage.task_summary import UNFIT

DETAILED = "with details"
"""Names the form in which such answers are kept."""


def with_details(result: InferenceResult) -> dict[str, Any]:
    """An answer with its details, as JSON has it."""
    usage = result.usage
    return {
        "value": result.value,
        "eventId": result.event_id,
        "model": result.model,
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "cacheReadInputTokens": usage.cache_read_tokens,
        "cacheCreationInputTokens": usage.cache_creation_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "finishReason": result.finish_reason,
    }


def failure_details(error: CallError, function: str) -> dict[str, Any]:
    """The details of a failed call."""
    shown = as_ai_function_error(error, function)
    return {
        "errorMessage": str(shown),
        "errorClass": shown.error_class,
        "errorKind": error.kind.value,
        "eventId": error.event_id,
        "finishReason": None if error.paid is None else error.paid.finish_reason,
    }


def misfit_details(error: AiFunctionError, details: dict[str, Any]) -> dict[str, Any]:
    """The details of an answer that is not of the type or schema asked for."""
    return {**details, "errorMessage": str(error), "errorClass": error.error_class, "errorKind": UNFIT}
