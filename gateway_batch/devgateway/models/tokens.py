"""What an ask's tokens are."""

from __future__ import annotations

from itertools import chain, islice

from gateway_batch.devgateway.ask import Ask
from gateway_batch.pricing.token_counts import PER_IMAGE, PER_MESSAGE, count_tokens, encode, encoding


def input_tokens(ask: Ask) -> int:
    """Tokens of all turns, their roles and their images, and of the tools."""
    spoken = sum(count_tokens(turn.text) + PER_MESSAGE for turn in ask.turns)
    return spoken + ask.images * PER_IMAGE + (count_tokens(ask.tools) if ask.tools else 0)


def decode(tokens: list[int]) -> str:
    """The text of tokens to embed, by the vocabulary of OpenAI's embedding models; their numbers, if it lacks one."""
    try:
        found: bytes = encoding("cl100k_base").decode_bytes(tokens)
    except KeyError:
        return " ".join(map(str, tokens))
    return found.decode(errors="replace")


def cut(text: str, tokens: int) -> str:
    """The first tokens of a text, without a torn character at the end."""
    kept: bytes = encoding().decode_bytes(list(islice(chain.from_iterable(encode(text)), tokens)))
    return kept.decode(errors="ignore")
