"""From an endpoint's name to where its calls go."""

from __future__ import annotations

import re

from gateway_batch.config.settings import EndpointConfig, GatewayConfig
from gateway_batch.errors import ConfigError
from gateway_batch.types import Service

CHAT = "mlflow/v1/chat/completions"
EMBEDDINGS = "mlflow/v1/embeddings"

# What stands behind `host`/ai-gateway or an endpoint's base URL, by the usage table's api_type words.
_PATHS = {
    "mlflow/v1/chat/completions": ("/mlflow/v1", "/chat/completions"),
    "openai/v1/chat/completions": ("/openai/v1", "/chat/completions"),
    "mlflow/v1/embeddings": ("/mlflow/v1", "/embeddings"),
    "openai/v1/embeddings": ("/openai/v1", "/embeddings"),
}

# Databricks tells embedding services by their task; a name is all that is known here.
_EMBEDDING_NAME = re.compile(r"(^|[-_./])(embed\w*|gte|bge|e5|minilm)([-_./:]|$)|embedding", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][\w.:/@\-]{0,766}")


def resolve_service(config: GatewayConfig, endpoint: str, api: str | None = None) -> Service:
    """The service that an endpoint's name stands for.

    Args:
        config: its `endpoints` come first, then any name is a model service of `host`.
        endpoint: as written in the query.
        api: the wire format asked for by the call, before the endpoint's own and the one its name suggests.

    Raises:
        ConfigError: no gateway is configured for it, or the API is unknown.
    """
    if not _NAME.fullmatch(endpoint):
        raise ConfigError(f"{endpoint!r} is not the name of an endpoint")
    known = config.endpoints.get(endpoint)
    settings = known or EndpointConfig()
    model = settings.model or endpoint
    api = api or settings.api or (EMBEDDINGS if _EMBEDDING_NAME.search(model) else CHAT)
    if api not in _PATHS:
        raise ConfigError(f"endpoint {endpoint}: no API {api!r}; there are {', '.join(sorted(_PATHS))}")
    prefix, path = _PATHS[api]
    if settings.base_url is not None:
        base, credential = settings.base_url, config.credential_of(endpoint)
    else:
        base = f"{_host(config, endpoint)}/ai-gateway{prefix}"
        own = known is not None and known.token is not None
        credential = config.credential_of(endpoint if own else None)
    return Service(endpoint=endpoint, api=api, url=base + path, model=model, credential=credential)


def _host(config: GatewayConfig, endpoint: str) -> str:
    if config.host is None:
        raise ConfigError(
            f"no gateway is configured for endpoint {endpoint!r}: set DATABRICKS_HOST and DATABRICKS_TOKEN, pass "
            "host= and token=, or name the endpoint with its base_url in endpoints="
        )
    return config.host
