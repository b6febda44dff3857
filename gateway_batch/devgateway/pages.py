"""The front page and the model listings, all of which say that the models are stand-ins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway_batch.devgateway.ask import JsonObject, Kind
from gateway_batch.devgateway.catalogue import Service
from gateway_batch.devgateway.credentials import check_credentials
from gateway_batch.devgateway.state import State

NOTICE = (
    "Development gateway of gateway_batch. Its models are stand-ins: deterministic code that answers "
    "with parts of the prompt. No language model is behind it, and no answer means anything."
)
_CREATED = 1767225600
_CREATED_AT = "2026-01-01T00:00:00Z"


def json_response(content: JsonObject) -> Response:
    """A 200 with a JSON body."""
    return Response(orjson.dumps(content), media_type="application/json")


def page_routes(state: State) -> list[Route]:
    """GET `/` for everyone, and the listings for callers with the token."""

    async def front(request: Request) -> Response:
        return json_response({"notice": NOTICE, "models": [service.name for service in state.catalogue]})

    def listing(write: Callable[[State], JsonObject]) -> Callable[[Request], Awaitable[Response]]:
        async def listed(request: Request) -> Response:
            check_credentials(request.headers.get("authorization"), state.token, state.issued_tokens)
            return json_response(write(state))

        return listed

    return [
        Route("/", front),
        Route("/ai-gateway/mlflow/v1/models", listing(openai_listing)),
        Route("/ai-gateway/openai/v1/models", listing(openai_listing)),
        Route("/ai-gateway/anthropic/v1/models", listing(anthropic_listing)),
        Route("/ai-gateway/gemini/v1beta/models", listing(gemini_listing)),
        Route("/ai-gateway/gemini/v1/models", listing(gemini_listing)),
    ]


def openai_listing(state: State) -> JsonObject:
    """As OpenAI lists models."""
    data = [
        {"id": service.name, "object": "model", "created": _CREATED, "owned_by": "gateway_batch stand-in"}
        for service in state.catalogue
        if service.kind is not Kind.SCORING
    ]
    return {"object": "list", "data": data, "notice": NOTICE}


def anthropic_listing(state: State) -> JsonObject:
    """As Anthropic lists models; all on one page."""
    data = [
        {"type": "model", "id": service.name, "display_name": _title(service), "created_at": _CREATED_AT}
        for service in _chat_services(state)
    ]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]}
    return {"data": data, "has_more": False, **ends, "notice": NOTICE}


def gemini_listing(state: State) -> JsonObject:
    """As Google lists models."""
    models = [
        {
            "name": f"models/{service.name}",
            "displayName": _title(service),
            "description": NOTICE,
            "supportedGenerationMethods": ["generateContent", "streamGenerateContent"],
        }
        for service in _chat_services(state)
    ]
    return {"models": models}


def _chat_services(state: State) -> Iterator[Service]:
    return (service for service in state.catalogue if service.kind is Kind.CHAT)


def _title(service: Service) -> str:
    return f"{service.model} (stand-in)"
