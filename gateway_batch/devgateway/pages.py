"""The front page and the model listings, all of which say what answers in the models' place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway_batch.devgateway.ask import JsonObject, Kind
from gateway_batch.devgateway.backend import Backend
from gateway_batch.devgateway.catalogue import Service
from gateway_batch.devgateway.credentials import check_credentials
from gateway_batch.devgateway.refusals import Refusal, anthropic_error, gemini_error, openai_error, unknown_model
from gateway_batch.devgateway.state import State

_CREATED = 1767225600
_CREATED_AT = "2026-01-01T00:00:00Z"


def json_response(content: JsonObject) -> Response:
    """A 200 with a JSON body."""
    return Response(orjson.dumps(content), media_type="application/json")


@dataclass(frozen=True, slots=True)
class Listing:
    """How one vendor lists models.

    Attributes:
        kinds: of services that are listed.
        describe: one model, by the name that it is asked for by.
        whole: the list of those.
        error: the body of a refusal.
    """

    kinds: frozenset[Kind]
    describe: Callable[[Service, str, Backend], JsonObject]
    whole: Callable[[list[JsonObject], Backend], JsonObject]
    error: Callable[[Refusal], JsonObject]


def page_routes(state: State) -> list[Route]:
    """GET `/` for everyone; the listings, and each model by its name, for callers with the token."""

    async def front(request: Request) -> Response:
        return json_response({"notice": state.backend.notice, "models": [service.name for service in state.catalogue]})

    def page(listing: Listing, write: Callable[[Request], JsonObject]) -> Callable[[Request], Awaitable[Response]]:
        async def written(request: Request) -> Response:
            try:
                check_credentials(request.headers.get("authorization"), state.token, state.issued_tokens)
                return json_response(write(request))
            except Refusal as refusal:
                body = orjson.dumps(listing.error(refusal))
                return Response(body, refusal.status, refusal.headers, media_type="application/json")

        return written

    def pages(path: str, listing: Listing) -> list[Route]:
        def one(request: Request) -> JsonObject:
            return describe_one(state, listing, request.path_params["model"])

        everything = page(listing, lambda request: describe_all(state, listing))
        return [Route(path, everything), Route(f"{path}/{{model}}", page(listing, one))]

    return [Route("/", front), *(route for path, listing in _LISTINGS.items() for route in pages(path, listing))]


def describe_all(state: State, listing: Listing) -> JsonObject:
    """All services of a listing."""
    listed = [service for service in state.catalogue if service.kind in listing.kinds]
    return listing.whole([listing.describe(each, each.name, state.backend) for each in listed], state.backend)


def describe_one(state: State, listing: Listing, name: str) -> JsonObject:
    """One service of a listing, also one that is only known by its family.

    Raises:
        Refusal: 404, there is none.
    """
    service = state.catalogue.find(name)
    if service is None or service.kind not in listing.kinds:
        raise unknown_model(name, () if service else state.catalogue.near(name))
    return listing.describe(service, name, state.backend)


def _openai_model(service: Service, name: str, backend: Backend) -> JsonObject:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": f"gateway_batch {backend.word}"}


def _openai_list(models: list[JsonObject], backend: Backend) -> JsonObject:
    return {"object": "list", "data": models, "notice": backend.notice}


def _anthropic_model(service: Service, name: str, backend: Backend) -> JsonObject:
    return {"type": "model", "id": name, "display_name": _title(service, backend), "created_at": _CREATED_AT}


def _anthropic_list(models: list[JsonObject], backend: Backend) -> JsonObject:
    """All on one page."""
    return {
        "data": models,
        "has_more": False,
        "first_id": models[0]["id"],
        "last_id": models[-1]["id"],
        "notice": backend.notice,
    }


def _gemini_model(service: Service, name: str, backend: Backend) -> JsonObject:
    return {
        "name": f"models/{name}",
        "displayName": _title(service, backend),
        "description": backend.notice,
        "supportedGenerationMethods": _GEMINI_METHODS[service.kind],
    }


def _gemini_list(models: list[JsonObject], backend: Backend) -> JsonObject:
    return {"models": models}


def _title(service: Service, backend: Backend) -> str:
    return f"{service.model} ({backend.word})"


_GEMINI_METHODS = {
    Kind.CHAT: ["generateContent", "streamGenerateContent", "countTokens"],
    Kind.EMBEDDINGS: ["embedContent", "batchEmbedContents"],
}
_MODELS = frozenset((Kind.CHAT, Kind.EMBEDDINGS))
_OPENAI = Listing(_MODELS, _openai_model, _openai_list, openai_error)
_GEMINI = Listing(_MODELS, _gemini_model, _gemini_list, gemini_error)
_LISTINGS = {
    "/ai-gateway/mlflow/v1/models": _OPENAI,
    "/ai-gateway/openai/v1/models": _OPENAI,
    "/ai-gateway/anthropic/v1/models": Listing(
        frozenset((Kind.CHAT,)), _anthropic_model, _anthropic_list, anthropic_error
    ),
    "/ai-gateway/gemini/v1beta/models": _GEMINI,
    "/ai-gateway/gemini/v1/models": _GEMINI,
    "/serving-endpoints/models": _OPENAI,
}
