"""Control routes for tests: counts, reset, settings. For callers on this machine only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway_batch.devgateway.credentials import check_credentials
from gateway_batch.devgateway.pages import json_response
from gateway_batch.devgateway.refusals import Refusal, invalid
from gateway_batch.devgateway.settings import Behaviour, describe, is_loopback
from gateway_batch.devgateway.state import State

PREFIX = "/devgateway"
Endpoint = Callable[[Request], Awaitable[Response]]


def control_routes(state: State) -> list[Route]:
    """GET `stats`, POST `reset`, POST `settings`."""

    async def stats(request: Request) -> Response:
        found = {"ledger": str(state.ledger.path), "model_processes": state.backend.processes()}
        return json_response(state.stats.as_json() | found)

    async def reset(request: Request) -> Response:
        state.reset()
        return json_response(state.stats.as_json())

    async def settings(request: Request) -> Response:
        behaviour, service = read_patch(await request.body())
        if service is not None and state.catalogue.find(service) is None:
            raise invalid(f"there is no service {service!r}")
        state.change(behaviour, service)
        return json_response({"changed": sorted(behaviour.model_fields_set), "service": service})

    return [
        Route(f"{PREFIX}/stats", _guarded(state, stats), methods=["GET"]),
        Route(f"{PREFIX}/reset", _guarded(state, reset), methods=["POST"]),
        Route(f"{PREFIX}/settings", _guarded(state, settings), methods=["POST"]),
    ]


def read_patch(body: bytes) -> tuple[Behaviour, str | None]:
    """A patch of settings, and the service it is for (None: all).

    Raises:
        Refusal: 400.
    """
    try:
        patch = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(f"the settings are not JSON: {error}") from error
    if not isinstance(patch, dict):
        raise invalid("the settings must be a JSON object")
    service = patch.pop("service", None)
    if service is not None and not isinstance(service, str):
        raise invalid("'service' must be a string")
    try:
        return Behaviour.model_validate_json(orjson.dumps(patch)), service
    except ValidationError as error:
        raise invalid(describe(error)) from error


def _guarded(state: State, endpoint: Endpoint) -> Endpoint:
    async def guarded(request: Request) -> Response:
        if request.client is None or not is_loopback(request.client.host):
            raise Refusal(403, "The control routes are for callers on this machine.")
        check_credentials(request.headers.get("authorization"), state.token, state.issued_tokens)
        return await endpoint(request)

    return guarded
