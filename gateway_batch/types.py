"""Neutral values that pass between the layers; no provider's or Spark's words in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Service:
    """Where an endpoint's calls go: an endpoint name resolved against the configuration.

    Attributes:
        endpoint: the name as the caller wrote it.
        api: the wire format, by the usage table's `api_type` word, e.g. `mlflow/v1/chat/completions`.
        url: what is called, in full.
        model: the name sent to the gateway.
        credential: a reference to the token, never its value; None sends no Authorization.
    """

    endpoint: str
    api: str
    url: str
    model: str
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """One row's request, before any wire format.

    Attributes:
        text: prompt or embedding input.
        parameters: model parameters as JSON values, sent as they are.
        tags: request tags.
    """

    text: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Token counts as the provider reported them; None is not reported, never zero.

    `input_tokens` includes cached ones, `output_tokens` includes reasoning.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None
    reasoning_tokens: int | None = None


NO_USAGE = TokenUsage()


@dataclass(frozen=True, slots=True)
class InferenceResult:
    """One answered request: text from a chat model, or a vector from an embedding model."""

    value: str | list[float]
    usage: TokenUsage = NO_USAGE
    model: str | None = None


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A POST with its JSON body encoded. Headers hold no credential: the client adds it."""

    url: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An answer that arrived whole.

    Attributes:
        headers: lower-case names.
        received_at: seconds since the epoch, to read HTTP dates against.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: float = 0.0

    @property
    def request_id(self) -> str | None:
        """The server's id of the request (`x-request-id` or `x-databricks-request-id`)."""
        return self.headers.get("x-request-id") or self.headers.get("x-databricks-request-id")
