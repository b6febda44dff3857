"""The routes of models: which wire format answers on which path."""

from __future__ import annotations

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway_batch.devgateway.ask import Kind
from gateway_batch.devgateway.route import ModelRoute
from gateway_batch.devgateway.state import State
from gateway_batch.devgateway.wire import (
    AnthropicMessages,
    AnthropicTokenCount,
    ChatCompletions,
    Embeddings,
    Gemini,
    GeminiEmbeddings,
    GeminiTokenCount,
    OpenAIResponses,
    Scoring,
    SupervisorResponses,
    Wire,
)

_GEMINI_METHODS: dict[str, Wire] = {
    "generateContent": Gemini(),
    "streamGenerateContent": Gemini(stream=True),
    "countTokens": GeminiTokenCount(),
    "embedContent": GeminiEmbeddings(),
    "batchEmbedContents": GeminiEmbeddings(batch=True),
}
WIRES: dict[str, Wire] = {
    "/ai-gateway/mlflow/v1/chat/completions": ChatCompletions(),
    "/ai-gateway/openai/v1/chat/completions": ChatCompletions("openai/v1/chat/completions"),
    "/ai-gateway/mlflow/v1/embeddings": Embeddings(),
    "/ai-gateway/openai/v1/embeddings": Embeddings("openai/v1/embeddings"),
    "/ai-gateway/mlflow/v1/responses": SupervisorResponses(),
    "/ai-gateway/openai/v1/responses": OpenAIResponses(),
    "/ai-gateway/anthropic/v1/messages": AnthropicMessages(),
    "/ai-gateway/anthropic/v1/messages/count_tokens": AnthropicTokenCount(),
    **{
        f"/ai-gateway/gemini/{version}/models/{{model}}:{method}": wire
        for version in ("v1beta", "v1")
        for method, wire in _GEMINI_METHODS.items()
    },
    "/serving-endpoints/chat/completions": ChatCompletions(),
    "/serving-endpoints/embeddings": Embeddings(),
    "/serving-endpoints/responses": OpenAIResponses(),
    "/serving-endpoints/open-responses": OpenAIResponses("mlflow/v1/responses"),
}
"""By path; all take POST."""

INVOCATIONS = "/serving-endpoints/{model}/invocations"


def model_routes(state: State) -> list[Route]:
    """All of them."""
    routes = [Route(path, ModelRoute(state, wire), methods=["POST"]) for path, wire in WIRES.items()]
    return [*routes, Route(INVOCATIONS, Invocations(state), methods=["POST"])]


class Invocations:
    """The ASGI app of an endpoint's own route, which speaks the format of what the endpoint is for."""

    def __init__(self, state: State) -> None:
        self._catalogue = state.catalogue
        self._routes = {
            Kind.CHAT: ModelRoute(state, ChatCompletions()),
            Kind.EMBEDDINGS: ModelRoute(state, Embeddings()),
            Kind.SCORING: ModelRoute(state, Scoring()),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; a name that there is no endpoint of gets its refusal as a custom model does."""
        service = self._catalogue.find(scope["path_params"]["model"])
        await self._routes[service.kind if service else Kind.SCORING](scope, receive, send)
