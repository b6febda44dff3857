"""Which adapter speaks which API."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from gateway_batch.apis.anthropic_messages import AnthropicMessages
from gateway_batch.apis.gemini import Gemini
from gateway_batch.apis.mlflow_scoring import MlflowScoring
from gateway_batch.apis.openai_chat import OpenAIChat
from gateway_batch.apis.openai_embeddings import OpenAIEmbeddings
from gateway_batch.apis.openai_responses import OpenAIResponses
from gateway_batch.apis.parameter_table import Dialect
from gateway_batch.types import HttpReply, HttpRequest, InferenceResult, JsonObject, Service, Task, TokenUsage

Call = TypeVar("Call", contravariant=True)


class Api(Protocol[Call]):
    """One vendor's wire format. Pure: no I/O, no clock, no log.

    Attributes:
        task: decides the type of its calls: `InferenceRequest` for chat, `EmbeddingRequest`, `RecordRequest` for
            scoring.
        reserved: parameters that the call itself sets: as model parameters they would change what is asked.
        unsupported: parameters that this API has no word for.
        dialect: how a chat format says parameters; None for other tasks, whose parameters go out as they are.
    """

    task: Task
    reserved: frozenset[str]
    unsupported: frozenset[str]
    dialect: Dialect | None

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

    def usage(self, body: JsonObject, reply: HttpReply) -> TokenUsage:
        """What a body says of its tokens, whatever else it says; `reply` is what it was read from."""
        ...


_CHAT = OpenAIChat()
_EMBEDDINGS = OpenAIEmbeddings()
_RESPONSES = OpenAIResponses()

_APIS: dict[str, Api[Any]] = {
    "mlflow/v1/chat/completions": _CHAT,
    "openai/v1/chat/completions": _CHAT,
    "mlflow/v1/responses": _RESPONSES,
    "openai/v1/responses": _RESPONSES,
    "anthropic/v1/messages": AnthropicMessages(),
    "gemini/v1/generateContent": Gemini(),
    "mlflow/v1/embeddings": _EMBEDDINGS,
    "openai/v1/embeddings": _EMBEDDINGS,
    "mlflow/v1/invocations": MlflowScoring(),
}

API_TYPES = tuple(_APIS)


def api_for(api_type: str) -> Api[Any]:
    """The adapter of an `api_type` word; KeyError for one that `API_TYPES` doesn't list."""
    return _APIS[api_type]


def task_of(api_type: str) -> Task:
    """What an API is for, which decides the type of its calls; KeyError as `api_for`."""
    return _APIS[api_type].task
