"""What makes two requests the same."""

from __future__ import annotations

import pytest

from gateway_batch.response_cache import (
    KeyMaker,
)
from gateway_batch.types import EmbeddingRequest, File, InferenceRequest, RecordRequest, ResponseFormat

from .samples import CHAT

pytestmark = pytest.mark.usefixtures("patient")


def test_all_that_is_sent_is_in_the_key() -> None:
    make = KeyMaker(CHAT).of_prompt
    requests = [
        InferenceRequest("a"),
        InferenceRequest("b"),
        InferenceRequest("a", {"temperature": 0.5}),
        InferenceRequest("a", {}, {"team": "search"}),
        InferenceRequest("a", instructions="b"),
        InferenceRequest("a", response_format=ResponseFormat()),
        InferenceRequest("a", response_format=ResponseFormat({"type": "object"})),
        InferenceRequest("a", response_format=ResponseFormat({"properties": {"why": {}, "stars": {}}})),
        InferenceRequest("a", response_format=ResponseFormat({"properties": {"stars": {}, "why": {}}})),
        InferenceRequest("a", files=(File(b"x", "image/png"),)),
    ]
    assert len({make(request) for request in requests}) == len(requests)
    assert make(InferenceRequest("a", {"x": 1, "y": 2})) == make(InferenceRequest("a", {"y": 2, "x": 1}))


def test_each_text_and_record_has_its_key() -> None:
    keys = KeyMaker(CHAT)
    assert keys.of_texts(EmbeddingRequest(("a", "b"))) == [
        *keys.of_texts(EmbeddingRequest(("a",))),
        *keys.of_texts(EmbeddingRequest(("b",))),
    ]
    assert keys.of_record(RecordRequest({"a": 1, "b": 2})) == keys.of_record(RecordRequest({"b": 2, "a": 1}))
    assert keys.of_record(RecordRequest({"a": 1})) != keys.of_record(RecordRequest({"a": 1.5}))
