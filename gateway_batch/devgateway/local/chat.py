"""What an ask is in the words of llama.cpp's server, and its answer in ours. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway_batch.devgateway.ask import Answer, Ask, Finish, JsonObject, TokenCounts
from gateway_batch.devgateway.refusals import Refusal, invalid

MODEL = "SmolLM2-135M-Instruct-Q4_1"
MOST_TOKENS = 256
"""Of an answer, whatever is asked for: a model of this size seldom finds an end by itself."""

_SAMPLING = {"temperature": 0, "repeat_penalty": 1.1}
"""Deterministic where the request doesn't say otherwise; without the penalty, one answer in five is a loop."""

_FINISHES = {"eos": Finish.STOP, "word": Finish.STOP_SEQUENCE, "limit": Finish.LENGTH}


def check_chat(ask: Ask) -> None:
    """Refuses what the model can't read."""
    if ask.images:
        raise invalid(f"{MODEL}, the local chat model, reads text only: images and files are refused.")


def template_request(ask: Ask) -> JsonObject:
    """For `/apply-template`: the turns."""
    return {"messages": [{"role": turn.role, "content": turn.text} for turn in ask.turns]}


def text_request(ask: Ask, prompt: str) -> JsonObject:
    """For `/completion`, which says what ended an answer.

    Args:
        ask: one without a schema, which this route wouldn't enforce if it can't read it.
        prompt: its turns in the model's template.
    """
    return {"prompt": prompt, "n_predict": _most_tokens(ask), "stop": list(ask.stop), **_SAMPLING, **ask.sampling}


def schema_request(ask: Ask) -> JsonObject:
    """For `/v1/chat/completions`, which refuses a schema that it can't enforce."""
    return {
        **template_request(ask),
        "max_tokens": _most_tokens(ask),
        "stop": list(ask.stop),
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": ask.schema}},
        **_SAMPLING,
        **ask.sampling,
    }


def text_answer(reply: Mapping[str, Any]) -> Answer:
    """The answer of `/completion`."""
    tokens = TokenCounts(reply["tokens_evaluated"], reply["tokens_predicted"])
    return Answer(reply["content"], _FINISHES[reply["stop_type"]], tokens, reply["stopping_word"] or None)


def count_request(prompt: str) -> JsonObject:
    """For `/tokenize`: turns in the model's template."""
    return {"content": prompt, "parse_special": True}


def count_answer(reply: Mapping[str, Any]) -> Answer:
    """The count of `/tokenize`, with no text."""
    return Answer("", Finish.STOP, TokenCounts(len(reply["tokens"]), 0))


def schema_answer(reply: Mapping[str, Any]) -> Answer:
    """The answer of `/v1/chat/completions`."""
    (choice,) = reply["choices"]
    tokens = TokenCounts(reply["usage"]["prompt_tokens"], reply["usage"]["completion_tokens"])
    finish = Finish.LENGTH if choice["finish_reason"] == "length" else Finish.STOP
    return Answer(choice["message"]["content"], finish, tokens)


def refusal(status: int, reply: Mapping[str, Any]) -> Refusal:
    """What the server refuses, as a service does that has such a model."""
    error = reply.get("error", {})
    if error.get("type") == "exceed_context_size_error":
        return Refusal(
            400,
            f"This model's maximum context length is {error['n_ctx']} tokens. "
            f"However, your messages resulted in {error['n_prompt_tokens']} tokens.",
            error_code="context_length_exceeded",
        )
    message = str(error.get("message", "no reason given"))
    return invalid(message) if status == 400 else Refusal(500, f"The local chat model failed: {message}")


def _most_tokens(ask: Ask) -> int:
    return min(ask.max_tokens or MOST_TOKENS, MOST_TOKENS)
