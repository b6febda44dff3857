"""Rows of an embedding model share requests; each gets its own vector or error."""

from __future__ import annotations

import asyncio

import pytest

from gateway_batch.apis.batch_limits import most_texts
from gateway_batch.engine.embedding_batches import BatchedRows, BatchEmbedder, BatchSize, batch_texts, vectors_of
from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.types import EmbeddingRequest, InferenceResult


def row(text: str, **tags: str) -> EmbeddingRequest:
    return EmbeddingRequest((text,), {}, tags)


class Service:
    """Embeds a text as its length; refuses batches that are too large, and texts that are bad."""

    def __init__(self, most: int = 100, kind: ErrorKind = ErrorKind.TOO_LARGE, miscount: bool = False) -> None:
        self.most = most
        self.kind = kind
        self.miscount = miscount
        self.sent: list[tuple[str, ...]] = []

    async def infer(self, request: EmbeddingRequest, deadline: float | None) -> InferenceResult:
        self.sent.append(request.texts)
        if len(request.texts) > self.most:
            raise CallError(self.kind, "too many")
        if "bad" in request.texts:
            raise CallError(ErrorKind.BAD_REQUEST, "bad text")
        if "down" in request.texts:
            raise CallError(ErrorKind.CONNECT, "down")
        if "fatal" in request.texts:
            raise CallError(ErrorKind.SERVER, "fatal")
        vectors = [[float(len(text))] for text in request.texts]
        return InferenceResult(vectors[1:] if self.miscount and len(vectors) > 1 else vectors)


def embedded(service: Service, *batches: tuple[str, ...], fail_fast: bool = False) -> list[list[object]]:
    async def run() -> list[list[object]]:
        embedder = BatchEmbedder(service.infer, vectors_of, fail_fast=fail_fast)
        return [
            [str(answer) if isinstance(answer, CallError) else answer for answer in await embedder.embed(row_pack)]
            for row_pack in map(EmbeddingRequest, batches)
        ]

    return asyncio.run(run())


def test_neighbours_share_a_request_up_to_its_size() -> None:
    batches = list(batch_texts([row(text) for text in ("aa", "b", "c", "d", "ee")], BatchSize(texts=3, characters=4)))
    assert [request.texts for request in batches] == [("aa", "b", "c"), ("d", "ee")]


def test_a_wrong_number_of_vectors_was_paid_for() -> None:
    async def infer(request: EmbeddingRequest, deadline: float | None) -> InferenceResult:
        return InferenceResult([[1.0], [2.0]], event_id="e")

    (error,) = asyncio.run(BatchEmbedder(infer, vectors_of).embed(EmbeddingRequest(("a",))))
    assert isinstance(error, CallError)
    assert (error.was_sent, error.event_id) == (True, "e")


def test_a_long_text_goes_by_itself() -> None:
    batches = list(batch_texts([row(text) for text in ("a", "bbbbbbbb", "c")], BatchSize(texts=9, characters=4)))
    assert [request.texts for request in batches] == [("a",), ("bbbbbbbb",), ("c",)]


def test_rows_of_other_tags_have_their_own_request() -> None:
    batches = list(batch_texts([row("a", team="x"), row("b", team="x"), row("c", team="y")], BatchSize(texts=16)))
    assert [(request.texts, request.tags) for request in batches] == [
        (("a", "b"), {"team": "x"}),
        (("c",), {"team": "y"}),
    ]


def test_one_bad_text_costs_its_neighbours_nothing() -> None:
    service = Service()
    assert embedded(service, ("a", "bb", "bad", "dddd")) == [[[1.0], [2.0], "bad text", [4.0]]]
    assert service.sent == [("a", "bb", "bad", "dddd"), ("a", "bb"), ("bad", "dddd"), ("bad",), ("dddd",)]


@pytest.mark.parametrize("kind", [ErrorKind.TOO_LARGE, ErrorKind.RATE_LIMIT])
def test_the_size_that_a_service_takes_is_learnt(kind: ErrorKind) -> None:
    service = Service(most=2, kind=kind)
    assert embedded(service, ("a", "b", "c", "d"), ("e", "f", "g", "h")) == [[[1.0]] * 4] * 2
    assert service.sent == [("a", "b", "c", "d"), ("a", "b"), ("c", "d"), ("e", "f"), ("g", "h")]


def test_a_failure_that_is_no_texts_fault_is_every_rows() -> None:
    service = Service()
    assert embedded(service, ("a", "down")) == [["down", "down"]]
    assert len(service.sent) == 1


def test_a_text_that_a_service_fails_on_fails_alone() -> None:
    service = Service()
    assert embedded(service, ("a", "fatal", "bb"), ("fatal", "a")) == [[[1.0], "fatal", [2.0]], ["fatal", [1.0]]]
    assert service.sent.count(("a",)) == 2


def test_a_service_that_has_answered_nothing_is_asked_for_one_text_of_a_batch() -> None:
    service = Service()
    assert embedded(service, ("fatal", "a", "b", "c")) == [["fatal"] * 4]
    assert len(service.sent) == 2


@pytest.mark.parametrize(
    ("says", "most"),
    [
        ("batch size is invalid, it should not be larger than 10.: input.contents", 10),
        ("Invalid 'input': array too long. Expected an array with maximum length 2048", 2048),
        ("batch size 16 > maximum allowed batch size 8", 8),
        ("The maximum number of inputs is 1", 1),
        ("at most 96 texts", 96),
        ("too many inputs. Max input array size: 2", 2),
        ("the input has more than 512 tokens", None),
        ("no", None),
    ],
)
def test_the_number_of_texts_that_a_refusal_names_is_learned(says: str, most: int | None) -> None:
    assert most_texts(says) == most


def test_too_few_vectors_are_asked_for_again_one_by_one() -> None:
    assert embedded(Service(miscount=True), ("a", "bb", "ccc")) == [[[1.0], [2.0], [3.0]]]


def test_with_fail_fast_the_text_that_fails_by_itself_ends_it() -> None:
    service = Service()
    with pytest.raises(CallError, match="bad text"):
        embedded(service, ("a", "bad"), fail_fast=True)
    with pytest.raises(CallError, match="down"):
        embedded(service, ("a", "down"), fail_fast=True)


def test_batches_come_back_with_their_rows_in_place() -> None:
    batches = BatchedRows(BatchSize(texts=2))
    assert [request.texts for request in batches.split([row("a"), None, row("b"), row("c")])] == [("a", "b"), ("c",)]
    assert batches.split([None]) == []
    error = CallError(ErrorKind.SERVER, "down")
    assert batches.join([[[1.0], error], [[3.0]]]) == [[[1.0]], None, error, [[3.0]]]
    assert batches.join([]) == [None]


def test_a_row_that_cant_be_sent_is_its_error() -> None:
    batches = BatchedRows(BatchSize(texts=2))
    error = CallError(ErrorKind.BAD_REQUEST, "not UTF-8")
    assert [request.texts for request in batches.split([row("a"), error, row("b")])] == [("a", "b")]
    assert batches.join([[[1.0], [2.0]]]) == [[[1.0]], error, [[2.0]]]


def test_a_row_of_two_texts_has_two_vectors() -> None:
    batches = BatchedRows(BatchSize(texts=3))
    pair = EmbeddingRequest(("a", "b"))
    assert [request.texts for request in batches.split([pair, pair])] == [("a", "b"), ("a", "b")]
    error = CallError(ErrorKind.SERVER, "down")
    assert batches.join([[[1.0], [2.0]], [[3.0], error]]) == [[[1.0], [2.0]], error]
