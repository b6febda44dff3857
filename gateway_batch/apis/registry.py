"""Which adapter speaks which API."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from gateway_batch.apis.openai_chat import OpenAIChat
from gateway_batch.apis.openai_embeddings import OpenAIEmbeddings
from gateway_batch.types import HttpReply, HttpRequest, InferenceResult, Service

Call = TypeVar("Call", contravariant=True)


class Api(Protocol[Call]):
    """One vendor's wire format. Pure: no I/O, no clock, no log.

    Attributes:
        reserved: parameters that the call itself sets: as model parameters they would change what is asked.
        unsupported: parameters of chat completions that this API has no word for.
    """

    reserved: frozenset[str]
    unsupported: frozenset[str]

    def build(self, call: Call, service: Service) -> HttpRequest:
        """The request on the wire for one call."""
        ...

    def parse(self, reply: HttpReply) -> InferenceResult:
        """The answer's value and token counts.

        Raises:
            RejectedError: the status is not 2xx, or a policy refused the call.
            MalformedError: a 2xx whose body this API doesn't promise.
        """
        ...


_CHAT = OpenAIChat()
_EMBEDDINGS = OpenAIEmbeddings()

_APIS: dict[str, Api[Any]] = {
    "mlflow/v1/chat/completions": _CHAT,
    "openai/v1/chat/completions": _CHAT,
    "mlflow/v1/embeddings": _EMBEDDINGS,
    "openai/v1/embeddings": _EMBEDDINGS,
}

API_TYPES = tuple(_APIS)


def api_for(api_type: str) -> Api[Any]:
    """The adapter of an `api_type` word; KeyError for one that `API_TYPES` doesn't list."""
    return _APIS[api_type]


def embeds(api_type: str) -> bool:
    """Whether the API is one for embeddings: its calls are `EmbeddingRequest`."""
    return _APIS[api_type] is _EMBEDDINGS
