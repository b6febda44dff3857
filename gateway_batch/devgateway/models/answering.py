"""Which stand-in answers."""

from __future__ import annotations

from gateway_batch.devgateway.ask import NO_TOKENS, Answer, Ask, Finish, Kind, TokenCounts
from gateway_batch.devgateway.catalogue import EMBEDDING_WIDTH, Service
from gateway_batch.devgateway.models import chat
from gateway_batch.devgateway.models.scores import score
from gateway_batch.devgateway.models.tokens import input_tokens
from gateway_batch.devgateway.models.vectors import embed
from gateway_batch.pricing.token_counts import count_tokens


def answer(ask: Ask, service: Service) -> Answer:
    """The service's answer."""
    if ask.count_only:
        return Answer("", Finish.STOP, TokenCounts(input_tokens(ask), 0))
    if service.kind is Kind.CHAT:
        return chat.answer(ask)
    if service.kind is Kind.SCORING:
        return Answer("", Finish.STOP, NO_TOKENS, scores=tuple(score(turn.text) for turn in ask.turns))
    vectors = tuple(embed(turn.text, ask.dimensions or EMBEDDING_WIDTH) for turn in ask.turns)
    tokens = sum(count_tokens(turn.text) if turn.tokens is None else turn.tokens for turn in ask.turns)
    return Answer("", Finish.STOP, TokenCounts(tokens, 0), vectors=vectors)
