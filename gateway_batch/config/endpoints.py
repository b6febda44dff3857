"""From an endpoint's name to where its calls go."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import quote, urlsplit

from gateway_batch.config.settings import EndpointConfig, GatewayConfig
from gateway_batch.errors import ConfigError
from gateway_batch.pricing.list_prices import list_price
from gateway_batch.types import Price, Service, TagsIn

CHAT = "mlflow/v1/chat/completions"
EMBEDDINGS = "mlflow/v1/embeddings"
SCORING = "mlflow/v1/invocations"
RESPONSES = "openai/v1/responses"

# What stands behind `host` and, after it, behind either `host` or an endpoint's base URL, by the usage table's
# api_type words.
_PATHS = {
    "mlflow/v1/chat/completions": ("/ai-gateway/mlflow/v1", "/chat/completions"),
    "openai/v1/chat/completions": ("/ai-gateway/openai/v1", "/chat/completions"),
    "mlflow/v1/responses": ("/ai-gateway/mlflow/v1", "/responses"),
    "openai/v1/responses": ("/ai-gateway/openai/v1", "/responses"),
    "anthropic/v1/messages": ("/ai-gateway/anthropic/v1", "/messages"),
    "gemini/v1/generateContent": ("/ai-gateway/gemini/v1beta", "/models/{model}:generateContent"),
    "mlflow/v1/embeddings": ("/ai-gateway/mlflow/v1", "/embeddings"),
    "openai/v1/embeddings": ("/ai-gateway/openai/v1", "/embeddings"),
    "mlflow/v1/invocations": ("/serving-endpoints/{model}", "/invocations"),
}

# Where a vendor's own host wants the bare key; its OpenAI-compatible routes take Bearer.
_KEY_HEADERS = {
    ("api.anthropic.com", "anthropic/v1/messages"): "x-api-key",
    ("generativelanguage.googleapis.com", "gemini/v1/generateContent"): "x-goog-api-key",
}

# Who knows the header of request tags: Databricks' hosts, its routes behind another name, and servers of this machine,
# where the development gateway is.
_DATABRICKS_HOST = re.compile(
    r"(^|\.)(databricks\.(com|us|mil|cn)|databricksapps\.com|azuredatabricks\.(net|us|cn))$", re.IGNORECASE
)
_DATABRICKS_ROUTE = re.compile(r"/(ai-gateway|serving-endpoints)(/|$)")
_THIS_MACHINE = re.compile(r"localhost|127(\.\d+){3}|::1", re.IGNORECASE)

# Where else tags can go, by what an API's body has room for.
_OPENAI_BODY = frozenset({TagsIn.METADATA, TagsIn.METADATA_TAGS, TagsIn.USER})
_TAGS_IN_BODY = {
    "mlflow/v1/chat/completions": _OPENAI_BODY,
    "openai/v1/chat/completions": _OPENAI_BODY,
    "mlflow/v1/responses": _OPENAI_BODY,
    "openai/v1/responses": _OPENAI_BODY,
    "mlflow/v1/embeddings": _OPENAI_BODY,
    "openai/v1/embeddings": _OPENAI_BODY,
    "anthropic/v1/messages": frozenset({TagsIn.USER}),
}

# Databricks knows embedding services by their task; only the name is known here.
_EMBEDDING_NAME = re.compile(r"(^|[-_./])(embed\w*|gte|bge|e5|minilm)([-_./:]|$)|embedding", re.IGNORECASE)
# OpenAI's models that its chat completions refuse ("only supported in v1/responses"), by families of names.
_RESPONSES_NAME = re.compile(
    r"(^|[-_./])(codex|computer-use|deep-research)([-_.:]|$)|(^|[-_./])(o\d|gpt-\d+([.-]\d+)?)-pro([-_:]|$)",
    re.IGNORECASE,
)
_BARE = "databricks-"
_READY_MADE = "system.ai."
_NAME = re.compile(r"[A-Za-z0-9][\w.:/@\-]{0,766}")


def resolve_service(
    config: GatewayConfig, endpoint: str, api: str | None = None, *, suited: str | None = None
) -> Service:
    """The service that an endpoint's name stands for.

    Args:
        config: its `endpoints` come first, then any name is a model service of `host`.
        endpoint: as written in the query.
        api: the wire format asked for by the call, before the endpoint's own.
        suited: the one that suits the call where neither says, of its kind; None: as the endpoint's name suggests.

    Raises:
        ConfigError: no gateway is configured for it, the API is unknown, or the endpoint's settings contradict each
            other.
    """
    if not _NAME.fullmatch(endpoint):
        raise ConfigError(f"{endpoint!r} is not the name of an endpoint")
    entry = _entry(config, endpoint)
    settings = EndpointConfig() if entry is None else config.endpoints[entry]
    given = api or settings.api
    service = _service(config, endpoint, entry, given or _suited(settings.model or endpoint, settings.base_url, suited))
    if given is None and service.api == CHAT:
        return replace(service, responses=_service(config, endpoint, entry, RESPONSES))
    return service


def _service(config: GatewayConfig, endpoint: str, entry: str | None, api: str) -> Service:
    settings = EndpointConfig() if entry is None else config.endpoints[entry]
    model = settings.model or endpoint
    if api not in _PATHS:
        raise ConfigError(f"endpoint {endpoint}: no API {api!r}; there are {', '.join(sorted(_PATHS))}")
    prefix, path = (part.replace("{model}", quote(model, safe="")) for part in _PATHS[api])
    if settings.base_url is not None:
        base, own = settings.base_url, True
    else:
        base, own = _host(config, endpoint) + prefix, settings.token is not None
    credential = config.credential_of(entry if own else None)
    key_header = settings.key_header or _KEY_HEADERS.get((urlsplit(base).hostname or "", api))
    _check_token_header(endpoint, settings, credential, key_header)
    return Service(
        endpoint=endpoint,
        api=api,
        url=base + path,
        model=model,
        price=_price(config, settings, endpoint, model),
        credential=credential,
        embedding_rows=settings.embedding_rows,
        key_header=key_header,
        headers=tuple(settings.headers.items()),
        query=tuple(settings.query.items()),
        timeout_s=settings.timeout,
        tags_in=_tags_in(endpoint, settings, api, base + path),
    )


def _suited(model: str, base_url: str | None, suited: str | None) -> str:
    if suited is None and _EMBEDDING_NAME.search(model):
        return EMBEDDINGS
    if suited not in (None, CHAT):
        return suited
    is_openais = base_url is None or urlsplit(base_url).hostname == "api.openai.com"
    return RESPONSES if is_openais and _RESPONSES_NAME.search(model) else CHAT


def _check_token_header(
    endpoint: str, settings: EndpointConfig, credential: str | None, key_header: str | None
) -> None:
    """Refuses a header for the token where there is no token, or another value for the header that carries it."""
    if credential is None:
        if settings.key_header is not None:
            raise ConfigError(
                f"endpoint {endpoint}: key_header is {settings.key_header}, and there is no token for it to carry: set "
                "the endpoint's token"
            )
        return
    carrier = key_header or "authorization"
    if carrier in settings.headers:
        raise ConfigError(
            f"endpoint {endpoint}: {carrier} carries the token, and is in headers, too: leave one of the two out"
        )


def _tags_in(endpoint: str, settings: EndpointConfig, api: str, url: str) -> TagsIn:
    """Where the setting says, which the API must have a place for; else the header, for who knows it."""
    wanted = settings.tags_in
    if wanted is None:
        return TagsIn.HEADER if _knows_the_tags_header(url) else TagsIn.NONE
    places = {TagsIn.HEADER, TagsIn.NONE, *_TAGS_IN_BODY.get(api, ())}
    if wanted not in places:
        raise ConfigError(
            f"endpoint {endpoint}: tags_in is {wanted}, for which {api} has no place; it has "
            f"{', '.join(each for each in TagsIn if each in places)}"
        )
    return wanted


def _knows_the_tags_header(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return bool(_DATABRICKS_HOST.search(host) or _DATABRICKS_ROUTE.search(parts.path) or _THIS_MACHINE.fullmatch(host))


def _price(config: GatewayConfig, settings: EndpointConfig, endpoint: str, model: str) -> Price | None:
    """The endpoint's own, or what a budget in dollars needs; None without either."""
    if settings.prices is not None:
        return Price(**settings.prices.model_dump())
    if config.budget.max_cost_usd is None:
        return None
    price = list_price(model)
    if price is None:
        raise ConfigError(
            f"budget.max_cost_usd: no list price is known of {model}: set endpoints[{endpoint!r}].prices, in dollars "
            "for a million tokens"
        )
    return price


def _entry(config: GatewayConfig, endpoint: str) -> str | None:
    """The name in `endpoints` that means this endpoint: as written, or in Databricks' other spelling."""
    names = (endpoint, _other_spelling(endpoint))
    return next((name for name in names if name in config.endpoints), None)


def _other_spelling(name: str) -> str | None:
    """A bare `databricks-x` means `system.ai.x`, and the other way round; None for names of other kinds."""
    if name.startswith(_BARE) and "." not in name:
        return _READY_MADE + name.removeprefix(_BARE)
    short = name.removeprefix(_READY_MADE)
    return _BARE + short if short != name and "." not in short else None


def _host(config: GatewayConfig, endpoint: str) -> str:
    if config.host is None:
        raise ConfigError(
            f"no gateway is configured for endpoint {endpoint!r}: set DATABRICKS_HOST and DATABRICKS_TOKEN, pass "
            "host= and token=, or name the endpoint with its base_url in endpoints="
        )
    return config.host
