"""Expiring tokens for service principals, by OAuth's client credentials, as a Databricks workspace issues them."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway_batch.devgateway.pages import json_response
from gateway_batch.devgateway.refusals import Refusal
from gateway_batch.devgateway.state import State

CLIENT_ID = "devgateway-client"
"""Of the one service principal that there is; its secret is the gateway's token."""


def oauth_routes(state: State) -> list[Route]:
    """The discovery documents of the workspace and of its tokens' issuer, and the token endpoint."""

    async def workspace(request: Request) -> Response:
        return json_response({"oidc_endpoint": f"{_base(request)}/oidc", "workspace_id": "1"})

    async def discovery(request: Request) -> Response:
        base = _base(request)
        return json_response(
            {
                "issuer": f"{base}/oidc",
                "authorization_endpoint": f"{base}/oidc/v1/authorize",
                "token_endpoint": f"{base}/oidc/v1/token",
                "grant_types_supported": ["client_credentials"],
            }
        )

    async def token(request: Request) -> Response:
        if state.token is None or not _is_client(request.headers.get("authorization", ""), state.token):
            raise Refusal(401, "Client authentication failed.")
        if "grant_type=client_credentials" not in (await request.body()).decode("utf-8", "replace"):
            raise Refusal(400, "The grant_type must be client_credentials.")
        issued = secrets.token_urlsafe(24)
        state.issued_tokens[issued] = time.monotonic() + state.token_lifetime_s
        seconds = int(state.token_lifetime_s)
        return json_response({"access_token": issued, "token_type": "Bearer", "expires_in": seconds})

    return [
        Route("/.well-known/databricks-config", workspace),
        Route("/oidc/.well-known/oauth-authorization-server", discovery),
        Route("/oidc/v1/token", token, methods=["POST"]),
    ]


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _is_client(authorization: str, secret: str) -> bool:
    scheme, _, credential = authorization.partition(" ")
    try:
        given = base64.b64decode(credential, validate=True)
    except binascii.Error:
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(given, f"{CLIENT_ID}:{secret}".encode())
