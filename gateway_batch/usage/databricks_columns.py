"""What a caller of a Databricks gateway knows of its rows in `system.ai_gateway.usage`, and no more.

The gateway's own routing (attempts, fallbacks, ids, what is behind a service that a user made) is not reported to
callers.
"""

from __future__ import annotations

import functools
import re

from gateway_batch.types import Service

_ROUTES = ("/ai-gateway/", "/serving-endpoints/")
_PERSONAL_ACCESS_TOKEN = "Bearer dapi"
_BARE = re.compile(r"databricks-([^.]+)")
_READY_MADE = re.compile(r"system\.ai\.(?:databricks-)?([^.]+)")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def requester_type(requester: str | None) -> str | None:
    """`SERVICE_PRINCIPAL` for a UUID, which is the application id of one; `USER` for any other name."""
    if not requester:
        return None
    return "SERVICE_PRINCIPAL" if _UUID.fullmatch(requester) else "USER"


def auth_mode(service: Service, authorization: str | None) -> str | None:
    """`PAT` for a personal access token on one of Databricks' routes; other modes have no word that is known."""
    if authorization is None or not authorization.startswith(_PERSONAL_ACCESS_TOKEN):
        return None
    return "PAT" if any(route in service.url for route in _ROUTES) else None


def service_name(service: Service) -> str | None:
    """The three-part name of a model service, as it was called; None for a plain name, and for other gateways."""
    return service.model if _ROUTES[0] in service.url and service.model.count(".") == 2 else None


def destination(service: Service) -> tuple[str | None, str | None]:
    """Type and name of the model that answers for a ready-made service (`databricks-x`, `system.ai.x`); else None."""
    return _destination(service.url, service.model)


@functools.lru_cache(512)
def _destination(url: str, model: str) -> tuple[str | None, str | None]:
    found = (_BARE.fullmatch(model) or _READY_MADE.fullmatch(model)) if _ROUTES[0] in url else None
    if found is None:
        return None, None
    return "PAY_PER_TOKEN_FOUNDATION_MODEL", f"system.ai.databricks-{found[1]}"
