"""What an ask is in the words of the embedding model's server, and its answer in ours. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway_batch.devgateway.ask import Answer, Ask, Finish, JsonObject, TokenCounts
from gateway_batch.devgateway.refusals import invalid

MODEL = "multilingual-e5-small-q4"
WIDTH = 384


def check_embeddings(ask: Ask) -> None:
    """Refuses vectors of another width than the model's, and tokens of another model."""
    if any(turn.tokens is not None for turn in ask.turns):
        raise invalid(f"{MODEL}, the local embedding model, reads texts: token ids are refused.")
    if ask.dimensions not in (None, WIDTH):
        raise invalid(f"'dimensions' must be {WIDTH}: {MODEL}, the local embedding model, has no other.")


def embed_request(ask: Ask) -> JsonObject:
    """For the server's only route."""
    return {"input": [turn.text for turn in ask.turns]}


def embed_answer(reply: Mapping[str, Any]) -> Answer:
    """One vector for each turn."""
    return Answer("", Finish.STOP, TokenCounts(sum(reply["tokens"]), 0), vectors=tuple(reply["vectors"]))
