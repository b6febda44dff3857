"""Neutral values that pass between the layers; no provider's or Spark's words in them."""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar

import orjson

from gateway_batch.figures import costs

JsonObject = dict[str, Any]

Number = TypeVar("Number", float, Decimal)
Value = TypeVar("Value", covariant=True)


class Task(StrEnum):
    """What a model does for a row; each has its own type of request."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    SCORING = "scoring"


@dataclass(frozen=True, slots=True)
class Price:
    """What a model's tokens cost, in US dollars a million.

    Attributes:
        input: tokens of requests, cached ones left out.
        output: tokens of answers, reasoning included.
        cache_read, cache_creation: input tokens read from a provider's cache and written to it; None: as `input`.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_creation: float | None = None

    def cost_usd(self, usage: TokenUsage) -> float:
        """Of one request; tokens that were not reported cost nothing."""
        return _cost_usd(usage, _in_order(self))

    def exact_cost_usd(self, usage: TokenUsage) -> Decimal:
        """As `cost_usd`, without rounding."""
        return _cost_usd(usage, _exactly_in_order(self))


def _cost_usd(usage: TokenUsage, prices: tuple[Number, ...]) -> Number:
    return costs.cost_usd(
        usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_creation_tokens, prices
    )


@functools.lru_cache(1024)
def _in_order(price: Price) -> tuple[float, ...]:
    return costs.in_order(asdict(price), 0.0)


@functools.lru_cache(1024)
def _exactly_in_order(price: Price) -> tuple[Decimal, ...]:
    exact = {name: None if value is None else Decimal(str(value)) for name, value in asdict(price).items()}
    return costs.in_order(exact, Decimal(0))


class TagsIn(StrEnum):
    """What carries the request tags: they are in the usage table in any case."""

    HEADER = "header"  # Databricks-Ai-Gateway-Request-Tags
    METADATA = "metadata"  # the body's `metadata`, an object of the tags
    METADATA_TAGS = "metadata.tags"  # the body's `metadata.tags`, a list of `key:value`
    USER = "user"  # the body's `user`, the tags as one JSON text
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Service:
    """Where an endpoint's calls go: an endpoint name resolved against the configuration.

    Attributes:
        endpoint: the name as the caller wrote it.
        api: the wire format, by the usage table's `api_type` word, e.g. `mlflow/v1/chat/completions`.
        url: what is called, in full.
        model: the name sent to the gateway.
        credential: a reference to the token, never its value; None sends none.
        key_header: the header that takes the bare token, as some vendors' own hosts want it; None sends
            `Authorization: Bearer <token>`.
        headers: further headers, names in lower case; a value is sent as it is, or refers to a secret.
        query: parameters for the URL, which `url` is without; values as those of `headers`.
        timeout_s: of one HTTP attempt; None: the setting `request_timeout`.
        tags_in: what carries the request tags.
        embedding_rows: how many rows of an embedding service go into one request.
        price: of the model's tokens, where the configuration has it or a budget needs it.
        responses: the same model by OpenAI's Responses, to be asked where chat completions turn out not to be its API;
            None where somebody named the API.
    """

    endpoint: str
    api: str
    url: str
    model: str
    credential: str | None = None
    key_header: str | None = None
    embedding_rows: int = 16
    price: Price | None = None
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    timeout_s: float | None = None
    tags_in: TagsIn = TagsIn.HEADER
    responses: Service | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The JSON that a chat answer has to be.

    Attributes:
        schema: JSON schema of the answer; None for any JSON object.
        name: the schema's name, as APIs want one.
        strict: whether the model may answer with nothing else.
    """

    schema: Mapping[str, Any] | None = None
    name: str = "response"
    strict: bool = True


@dataclass(frozen=True, slots=True)
class File:
    """What goes with a prompt: a picture or a document.

    Attributes:
        data: its bytes.
        media_type: `image/jpeg`, `image/png`, `image/gif`, `image/webp`, `image/heic`, `image/heif` or
            `application/pdf`, as the API takes it.
    """

    data: bytes
    media_type: str

    @property
    def base64(self) -> str:
        """The data in base64."""
        return base64.b64encode(self.data).decode()

    @property
    def data_url(self) -> str:
        """The file as a URL that holds it (RFC 2397)."""
        return f"data:{self.media_type};base64,{self.base64}"


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """One row's request to a chat model, before any wire format.

    Attributes:
        text: the prompt.
        parameters: model parameters as JSON values, by the names of chat completions (`max_tokens`, `temperature`,
            `top_p`, `stop`); an API's adapter has its own words for these. Others are sent as they are.
        tags: request tags.
        instructions: what stands before the prompt as the system's word.
        response_format: the JSON to answer with; None for text.
        files: that the prompt is about.
        optional: the parameters without which it is sent again where its service refuses them.
    """

    text: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    instructions: str | None = None
    response_format: ResponseFormat | None = None
    files: tuple[File, ...] = ()
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Inputs of several rows for an embedding model, sent as one request.

    Attributes:
        texts: at least one.
        parameters: sent as they are.
        tags: request tags.
    """

    texts: tuple[str, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordRequest:
    """One row's columns for a custom model.

    Attributes:
        record: JSON values by column name, or a JSON object as it is to be sent.
        parameters: the model's own inference parameters, MLflow's `params`. `ai_query` takes none for a custom model,
            as on Databricks.
        tags: request tags.
    """

    record: Mapping[str, Any] | orjson.Fragment
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


AnyRequest = InferenceRequest | EmbeddingRequest | RecordRequest


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """What an answer says of its use, as the provider reported it; None is not reported, never zero.

    Attributes:
        input_tokens: cached ones included.
        output_tokens: reasoning included.
        service_tier: a word of the provider's.
        other: texts of the numbers that none of these has, by their path in the answer's usage block.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None
    reasoning_tokens: int | None = None
    service_tier: str | None = None
    other: Mapping[str, str] | None = None


NO_USAGE = TokenUsage()


@dataclass(slots=True)
class InferenceResult:
    """One answered request.

    Attributes:
        value: text from a chat model, a vector for each text from an embedding model, any JSON value (None for null)
            from a custom model.
        model: the name that the answer gives the model.
        event_id: of the attempt that it answers; None before the client knows.
        finish_reason: why the model stopped, in the provider's word.
        logprobs: the log-probabilities of the answer's tokens, as the API has them, unchecked; None: it has none.
        request_id, attempts, latency_ms: as in `Answer`; None and 1 before the client knows.
    """

    value: Any
    usage: TokenUsage = NO_USAGE
    model: str | None = None
    event_id: str | None = None
    finish_reason: str | None = None
    request_id: str | None = None
    attempts: int = 1
    latency_ms: int | None = None
    logprobs: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[Value]):
    """A call's answer with its details, as `details=True` returns it from the methods of `gb.Client`.

    Attributes:
        value: the text of a chat model, or the vector of an embedding model.
        tokens: as recorded in the usage table: those that the provider did not report are estimated.
        cost_usd: tokens times the price of the endpoint's `prices`, else the list price of its model; None where no
            price or no token count is known, which is not 0.
        model: the name that the answer gives the model.
        event_id: of the answered attempt: `client_metadata.event_id` in the usage table.
        request_id: the server's id of the request, else the event id.
        finish_reason: why the model stopped, in the provider's word: `stop`, `end_turn`, `MAX_TOKENS`; None where the
            API has none.
        attempts: HTTP attempts made, the answered one included.
        latency_ms: of the answered attempt.
        texts: how many texts shared the request, more than 1 only with `embed`. Tokens and cost are the request's: add
            them up once for each `event_id`.
    """

    value: Value
    tokens: TokenUsage
    cost_usd: Decimal | None
    model: str | None
    event_id: str | None
    request_id: str | None
    finish_reason: str | None
    attempts: int
    latency_ms: int | None
    texts: int = 1

    @property
    def text(self) -> str:
        """The value of a chat model's answer.

        Raises:
            TypeError: it is a vector.
        """
        if not isinstance(self.value, str):
            raise TypeError(f"the value is a {type(self.value).__name__}, not a text")
        return self.value


@dataclass(slots=True)
class HttpRequest:
    """A POST with its JSON body encoded. As an API's adapter makes it, it holds no credential: the client adds them.

    Attributes:
        query_is_secret: whether the URL's query holds one, so that no log may show it.
    """

    url: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    query_is_secret: bool = False


@dataclass(slots=True)
class HttpReply:
    """An answer that arrived whole.

    Attributes:
        headers: to be asked by lower-case names.
        received_at: seconds since the epoch, to read HTTP dates against.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: float = 0.0

    @property
    def request_id(self) -> str | None:
        """The server's id of the request: `x-request-id`, `x-databricks-request-id`, or Anthropic's `request-id`."""
        found = self.headers
        return found.get("x-request-id") or found.get("x-databricks-request-id") or found.get("request-id")
