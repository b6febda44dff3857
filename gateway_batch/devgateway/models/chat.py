"""The stand-in chat model: reads the prompt, answers with parts of it."""

from __future__ import annotations

from collections import Counter

import orjson

from gateway_batch.devgateway.ask import Answer, Ask, Finish, TokenCounts
from gateway_batch.devgateway.models.labels import classify, wants_label
from gateway_batch.devgateway.models.prose import keywords, salience, sentences, shorten
from gateway_batch.devgateway.models.structure import value_for
from gateway_batch.devgateway.models.summary import summarise, wants_summary
from gateway_batch.devgateway.models.tokens import cut, input_tokens
from gateway_batch.pricing.token_counts import count_tokens

_LONGEST_REPLY = 60


def answer(ask: Ask) -> Answer:
    """The same for the same question, always; never empty unless a stop sequence makes it so."""
    text, stopped_by = _stopped(_say(ask), ask.stop)
    used, read = count_tokens(text), input_tokens(ask)
    if ask.max_tokens is not None and used > ask.max_tokens:
        return Answer(cut(text, ask.max_tokens), Finish.LENGTH, TokenCounts(read, ask.max_tokens))
    finish = Finish.STOP if stopped_by is None else Finish.STOP_SEQUENCE
    return Answer(text, finish, TokenCounts(read, used), stopped_by)


def _say(ask: Ask) -> str:
    if ask.schema is not None:
        return orjson.dumps(value_for(ask.schema, ask.question)).decode()
    return reply_to(ask.question, ask.instructions)


def reply_to(question: str, instructions: str = "") -> str:
    """A summary, a label, or the most fitting sentence, as the question or the system's turn asks."""
    brief = f"{instructions}\n{question}" if instructions else question
    label = classify(brief) if wants_label(brief) else None
    if label is not None:
        return label
    if wants_summary(brief):
        return summarise(question) or "Nothing to summarize."
    return _extract(question)


def _extract(question: str) -> str:
    found = sentences(question)
    if not found:
        return f"Nothing to go by in: {question.strip()}" if question.strip() else "There was no question."
    asked, statements = found[0], found[1:]
    if not statements:
        subject = " ".join(dict.fromkeys(keywords(asked))) or asked
        return shorten(f"This is a stand-in's answer about {subject}.", _LONGEST_REPLY)
    weights = Counter(keywords(question)) + Counter(keywords(asked))
    return shorten(salience(statements, weights)[0][2], _LONGEST_REPLY)


def _stopped(text: str, stop: tuple[str, ...]) -> tuple[str, str | None]:
    """The text up to the first of the stop sequences, and which one that was."""
    found = [(place, mark) for mark in stop if mark and (place := text.find(mark)) >= 0]
    if not found:
        return text, None
    place, mark = min(found)
    return text[:place], mark
