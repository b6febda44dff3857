from __future__ import annotations

import json

import pytest

from gateway_batch.apis.echoed_prompts import without_prompts

PROMPT = 'Summarise: the "Ärztin" from\nUlm said 12,500 things.'


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (f"bad input: {PROMPT} (too odd)", "bad input: [...]. (too odd)"),
        (f"bad input: {json.dumps(PROMPT)}", 'bad input: "[...]."'),
        (f"bad input: {json.dumps(json.dumps(PROMPT))}", 'bad input: "\\"[...].\\""'),
        ("in 'Ulm said 12,500 thi' at 7", "in '[...]' at 7"),
        ("ULM SAID 12,500 THINGS", "[...]"),
        ("the model said 12,500 words", "the model said 12,500 words"),
        ("Unsupported parameter: 'max_tokens'", "Unsupported parameter: 'max_tokens'"),
        ("", ""),
    ],
)
def test_what_a_message_repeats_of_a_prompt_is_hidden(message: str, shown: str) -> None:
    assert without_prompts(message, [PROMPT]) == shown


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [("secret9", "no: [...]!"), ("no", "no: secret9!"), ("", "no: secret9!"), ("...", "no: secret9!")],
)
def test_a_short_prompt_is_hidden_as_a_whole(prompt: str, shown: str) -> None:
    assert without_prompts("no: secret9!", [prompt]) == shown


def test_a_prompt_of_a_million_letters_is_looked_through() -> None:
    prompt = "ab cd " * 200_000 + "the needle in it"
    assert without_prompts("x" * 900 + " the needle in it", [prompt]) == "x" * 900 + " [...]"
