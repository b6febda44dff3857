"""The gateway as a Starlette app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway_batch.devgateway.backend import Backend, StandIns
from gateway_batch.devgateway.control import control_routes
from gateway_batch.devgateway.oauth import oauth_routes
from gateway_batch.devgateway.own_site import OwnSite
from gateway_batch.devgateway.pages import page_routes
from gateway_batch.devgateway.refusals import Refusal, databricks_error, openai_error
from gateway_batch.devgateway.routes import model_routes
from gateway_batch.devgateway.settings import Models, Settings
from gateway_batch.devgateway.state import State
from gateway_batch.pricing.token_counts import count_tokens


def create_app(settings: Settings) -> Starlette:
    """The app. Its ledger is open, and its local models are running, from now until the app shuts down.

    Scripted disconnects and truncations need the server that `serve` and `running` start.

    Raises:
        ConfigError: a service's name or the ledger's file won't do, or the local models can't run.
    """
    state = State(settings, open_backend(settings.models))
    count_tokens("")  # loads the vocabulary now, not under the first request

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await state.backend.close()
        state.ledger.close()

    app = Starlette(
        routes=[*model_routes(state), *page_routes(state), *oauth_routes(state), *control_routes(state)],
        middleware=[
            Middleware(Marked, by=f"{state.backend.word} models"),
            Middleware(OwnSite, has_token=settings.token is not None),
        ],
        exception_handlers={Refusal: _on_refusal, HTTPException: _on_http_exception},
        lifespan=lifespan,
    )
    app.state.gateway = state
    return app


def open_backend(models: Models) -> Backend:
    """What answers, running.

    Raises:
        ConfigError: the local models can't run.
    """
    if models is Models.STAND_IN:
        return StandIns()
    from gateway_batch.devgateway.local.backend import LocalModels

    return LocalModels()


class Marked:
    """Gives every request an id, and every answer that id and a word on what models it comes from.

    Args:
        app: what the requests are passed on to.
        by: the models.
    """

    def __init__(self, app: ASGIApp, *, by: str) -> None:
        self._app = app
        self._by = by.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        marks = [
            (b"x-request-id", request_id.encode()),
            (b"x-gateway-batch-devgateway", self._by),
        ]

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *marks]}
            await send(message)

        await self._app(scope, receive, marked)


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    body = orjson.dumps(openai_error(error))
    return Response(body, error.status, error.headers, media_type="application/json")


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "RESOURCE_DOES_NOT_EXIST" if error.status_code == 404 else None
    message = f"{request.method} {request.url.path}: {error.detail}"
    body = orjson.dumps(databricks_error(Refusal(error.status_code, message, error_code=code)))
    return Response(body, error.status_code, error.headers, media_type="application/json")
