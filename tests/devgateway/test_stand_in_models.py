from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest

from gateway_batch.devgateway.ask import Ask, Finish, Turn
from gateway_batch.devgateway.models import chat
from gateway_batch.devgateway.models.chat import reply_to
from gateway_batch.devgateway.models.labels import listed_labels
from gateway_batch.devgateway.models.patterns import matching
from gateway_batch.devgateway.models.prose import sentences
from gateway_batch.devgateway.models.tokens import cut
from gateway_batch.devgateway.models.vectors import embed
from gateway_batch.devgateway.wire.format import pieces
from gateway_batch.pricing.token_counts import count_tokens

ARTICLE = (
    "Lake Baikal in Siberia is the deepest lake in the world. Tourists bring cameras. The lake holds a fifth of the "
    "world's fresh water. Many fish of the lake live nowhere else. The weather is cold. Ferries run in summer."
)


def similarity(first: str, second: str) -> float:
    return math.fsum(a * b for a, b in zip(embed(first, 1024), embed(second, 1024), strict=True))


@pytest.mark.parametrize(
    "instruction",
    ["Summarize the following text: ", "Please summarise this in 20 words:\n", "Write a summary:\n\n", "TL;DR: "],
)
def test_a_summary_is_made_of_the_texts_own_sentences_and_is_shorter(instruction: str) -> None:
    summary = reply_to(instruction + ARTICLE)
    assert "Lake Baikal in Siberia is the deepest lake" in summary or "fresh water" in summary
    assert all(sentence in ARTICLE for sentence in sentences(summary))
    assert len(summary) < len(ARTICLE) * 0.7


def test_a_summary_keeps_to_the_words_it_was_given() -> None:
    assert len(reply_to("Summarize in at most 5 words: " + ARTICLE).split()) <= 5


def test_the_systems_turn_can_ask_for_the_summary() -> None:
    assert reply_to(ARTICLE, "Summarize what the user says.") == reply_to("Summarize: " + ARTICLE)


@pytest.mark.parametrize(
    ("prompt", "label"),
    [
        ("Classify the text into one of the labels billing, technical, shipping: I was charged twice", "billing"),
        ("Classify into one of: [billing, technical, shipping]\nThe app shows an error after login.", "technical"),
        ("Classify this ticket with labels: billing, technical or shipping. Text: Where is my package?", "shipping"),
        ("Classify the sentiment as positive, negative or neutral: I love it", "positive"),
        ("Classify the sentiment as positive, negative or neutral: It broke, what a useless thing", "negative"),
        ("Classify the sentiment as positive, negative or neutral: It is a chair", "neutral"),
        ("Classify as positive, negative, mixed: great screen, terrible battery", "mixed"),
        ("Which of the categories cats, dogs, birds fits? Text: two dogs in a park", "dogs"),
    ],
)
def test_a_classification_is_one_of_the_labels(prompt: str, label: str) -> None:
    assert reply_to(prompt) == label


def test_labels_are_found_in_their_list() -> None:
    assert listed_labels("Classify with labels: 'a b', c, or d. Text: e, f") == ["a b", "c", "d"]
    assert listed_labels("Classify this") == []


def test_a_question_about_a_text_is_answered_from_it() -> None:
    question = "How deep is the lake? The lake is 1642 m deep. Ferries run in summer."
    assert reply_to(question) == "The lake is 1642 m deep."


@pytest.mark.parametrize(
    "prompt", ["", " ", "?", "...", "Summarize:", "Summarize the following text: ", "日本", "🙂", "a"]
)
def test_a_reply_is_never_empty(prompt: str) -> None:
    assert reply_to(prompt).strip()


def test_a_long_prompt_gets_a_short_reply() -> None:
    assert len(reply_to(" ".join(["word"] * 5000)).split()) <= 60
    assert len(reply_to("Tell me. " + ARTICLE * 50).split()) <= 60


def test_answers_count_their_tokens_and_stop_where_told() -> None:
    turns = (Turn("user", "Name a lake."),)
    whole = chat.answer(Ask(model="m", turns=turns))
    short = chat.answer(Ask(model="m", turns=turns, max_tokens=4))
    stopped = chat.answer(Ask(model="m", turns=turns, stop=("lake", " stand")))
    assert whole.tokens.output_tokens == count_tokens(whole.text)
    assert (short.finish, short.tokens.output_tokens) == (Finish.LENGTH, 4)
    assert (stopped.finish, stopped.text, stopped.stopped_by) == (Finish.STOP_SEQUENCE, "This is a", " stand")


def test_cutting_by_tokens_leaves_no_torn_character() -> None:
    text = "湖は深い 🏔️ and cold"
    cuts = [cut(text, tokens) for tokens in range(count_tokens(text) + 1)]
    assert all(text.startswith(part) for part in cuts)
    assert cuts[-1] == text


def test_pieces_of_a_text_make_up_the_text() -> None:
    for text in ("one two three four five six  seven\n\neight ", "x", "", "  ", " a  b ", '{"a": [1, 2], "b": "c d"}'):
        assert "".join(pieces(text)) == text


def test_similar_texts_have_similar_vectors() -> None:
    lake = "The lake is deep and cold in winter."
    near = similarity(lake, "In winter the deep lake is cold.")
    related = similarity(lake, "Deep lakes are cold.")
    far = similarity(lake, "Quarterly revenue grew by nine percent.")
    assert near > 0.9
    assert near > related > 0.3 > 0.15 > far


def test_inflected_words_are_near() -> None:
    assert similarity("payment", "payments") > 0.5 > similarity("payment", "giraffes")


@pytest.mark.parametrize("text", ["", "?!", "日本の湖", "the", ARTICLE])
@pytest.mark.parametrize("width", [1, 8, 1024])
def test_vectors_have_length_one(text: str, width: int) -> None:
    vector = embed(text, width)
    assert len(vector) == width
    assert math.isclose(math.fsum(value * value for value in vector), 1, rel_tol=1e-9)


def test_the_same_text_has_the_same_vector() -> None:
    assert embed(ARTICLE, 1024) == embed(ARTICLE, 1024)


def test_sentences_keep_numbers_and_order() -> None:
    found = sentences("It cost 3.50 in all. Was it dear? No!\nNext line")
    assert found == ["It cost 3.50 in all.", "Was it dear?", "No!", "Next line"]
    assert all(ARTICLE.index(a) < ARTICLE.index(b) for a, b in pairwise(sentences(ARTICLE)))


@pytest.mark.parametrize(
    "pattern", [r"^\d{4}-[A-F]{2}$", "^(foo|bar)$", r"[^x]y{2,}", r"^\w+@\w+\.(com|org)$", r"^\S*$"]
)
def test_a_pattern_is_matched_by_the_string_made_for_it(pattern: str) -> None:
    assert re.search(pattern, matching(pattern))
