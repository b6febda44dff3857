"""Batches of an embedding model's rows: several in one request, split again when the service refuses it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from gateway_batch.apis.batch_limits import most_texts
from gateway_batch.engine.blame import CONSEQUENCES
from gateway_batch.errors import CallError, ErrorKind, MalformedError
from gateway_batch.types import EmbeddingRequest, InferenceResult

Vector = list[float]
Embedded = TypeVar("Embedded")


@dataclass(frozen=True, slots=True)
class BatchSize:
    """How much one request takes.

    Attributes:
        texts: at most, unless one row has more.
        characters: of all texts together at most; a longer text goes by itself.
    """

    texts: int
    characters: int = 8_000


def batch_texts(requests: Iterable[EmbeddingRequest], size: BatchSize) -> Iterator[EmbeddingRequest]:
    """Joins neighbours whose parameters and tags are the same; order is kept."""
    waiting: list[EmbeddingRequest] = []
    texts = characters = 0
    for request in requests:
        more = sum(len(text) for text in request.texts)
        full = texts + len(request.texts) > size.texts or characters + more > size.characters
        if waiting and (full or not _alike(waiting[0], request)):
            yield _joined(waiting)
            waiting, texts, characters = [], 0, 0
        waiting.append(request)
        texts += len(request.texts)
        characters += more
    if waiting:
        yield _joined(waiting)


def vectors_of(result: InferenceResult) -> list[Vector]:
    """The vectors of an answered request."""
    vectors: list[Vector] = result.value
    return vectors


class BatchEmbedder(Generic[Embedded]):
    """Embeds batches of texts; learns how large a batch the service takes.

    Args:
        infer: one request's answer, by a deadline.
        read: what an answered request has for each of its texts: `vectors_of`, or more.
        fail_fast: the first text that fails by itself ends it all.
    """

    def __init__(
        self,
        infer: Callable[[EmbeddingRequest, float | None], Awaitable[InferenceResult]],
        read: Callable[[InferenceResult], list[Embedded]],
        *,
        fail_fast: bool = False,
    ) -> None:
        self._infer = infer
        self._read = read
        self._fail_fast = fail_fast
        self._most: int | None = None
        self._has_answered = False

    async def embed(self, request: EmbeddingRequest, deadline: float | None = None) -> list[Embedded | CallError]:
        """What `read` gives for each text, or the error of that text.

        Args:
            request: its texts.
            deadline: as that of `RequestExecutor.infer`.

        Raises:
            CallError: with `fail_fast`, a text's.
        """
        texts = request.texts
        if self._most is not None and len(texts) > self._most:
            return await self._embed_parts(request, deadline)
        try:
            vectors = self._read(_checked(await self._infer(request, deadline), len(texts)))
        except CallError as error:
            if len(texts) == 1 or not CONSEQUENCES[error.kind].splits:
                if self._fail_fast:
                    raise
                return [error] * len(texts)
            refused = error
        else:
            self._has_answered = True
            return [*vectors]
        return await self._after_refusal(request, refused, deadline)

    async def _after_refusal(
        self, request: EmbeddingRequest, refused: CallError, deadline: float | None
    ) -> list[Embedded | CallError]:
        """The answers of a batch that was refused as a whole: its parts', down to the text that fails by itself."""
        texts, allowed = request.texts, most_texts(str(refused))
        if allowed is not None and allowed < len(texts):
            self._most = min(self._most or allowed, allowed)
            return await self._embed_parts(request, deadline)
        half = (len(texts) + 1) // 2
        if refused.kind is ErrorKind.SERVER and not self._has_answered:  # it may answer nothing at all
            (first,) = await self.embed(replace(request, texts=texts[:1]), deadline)
            if isinstance(first, CallError):
                return [first] * len(texts)
            return [first, *await self._embed_parts(replace(request, texts=texts[1:]), deadline, half)]
        answers = await self._embed_parts(request, deadline, half)
        if not any(isinstance(answer, CallError) for answer in answers):
            self._most = min(self._most or len(texts), half)
        return answers

    async def _embed_parts(
        self, request: EmbeddingRequest, deadline: float | None, most: int | None = None
    ) -> list[Embedded | CallError]:
        most = most or self._most or 1
        parts = [request.texts[at : at + most] for at in range(0, len(request.texts), most)]
        answers = await asyncio.gather(*(self.embed(replace(request, texts=part), deadline) for part in parts))
        return [answer for part in answers for answer in part]


def _alike(one: EmbeddingRequest, other: EmbeddingRequest) -> bool:
    return one.tags == other.tags and one.parameters == other.parameters


def _joined(requests: list[EmbeddingRequest]) -> EmbeddingRequest:
    if len(requests) == 1:
        return requests[0]
    return replace(requests[0], texts=tuple(text for request in requests for text in request.texts))


def _checked(result: InferenceResult, wanted: int) -> InferenceResult:
    vectors = result.value
    if not isinstance(vectors, list) or len(vectors) != wanted:
        found = len(vectors) if isinstance(vectors, list) else 0
        error = MalformedError(ErrorKind.INVALID_RESPONSE, f"{found} vectors for {wanted} texts", status=200)
        error.event_id, error.was_sent = result.event_id, True
        raise error
    return result


class BatchedRows:
    """Rows as request batches, and their answers as rows again.

    Args:
        size: of a request batch.
    """

    def __init__(self, size: BatchSize) -> None:
        self._size = size
        self._layouts: deque[list[int | CallError]] = deque()

    def split(self, rows: Sequence[EmbeddingRequest | CallError | None]) -> list[EmbeddingRequest]:
        """The request batches of the next rows. A row that is an error can't be sent."""
        self._layouts.append([len(row.texts) if isinstance(row, EmbeddingRequest) else row or 0 for row in rows])
        return list(batch_texts((row for row in rows if isinstance(row, EmbeddingRequest)), self._size))

    def join(self, answers: Iterable[list[Vector | CallError]]) -> list[list[Vector] | CallError | None]:
        """The vectors of the oldest rows, one for each text of a row; None for a row that sent nothing."""
        following = (answer for batch_answers in answers for answer in batch_answers)
        return [
            row if isinstance(row, CallError) else _row_answer([next(following) for _ in range(row)])
            for row in self._layouts.popleft()
        ]


def _row_answer(answers: list[Vector | CallError]) -> list[Vector] | CallError | None:
    vectors = []
    for answer in answers:
        if isinstance(answer, CallError):
            return answer
        vectors.append(answer)
    return vectors or None
