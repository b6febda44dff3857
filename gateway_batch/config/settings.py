"""The configuration model: keyword arguments first, then the environment."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gateway_batch.config.cache_scope import check_cache
from gateway_batch.config.coordination import check_coordination, coordination_reference, is_credential
from gateway_batch.config.credentials import LOGIN, Credentials, credential_reference
from gateway_batch.config.extra_fields import check_header_name, check_headers, check_query, reference_of
from gateway_batch.errors import ConfigError
from gateway_batch.types import TagsIn

PREFIX = "GATEWAY_BATCH_"
_TOKEN = f"{PREFIX}TOKEN"
_DATABRICKS_TOKEN = "env:DATABRICKS_TOKEN"


def _base_url(url: str | None) -> str | None:
    if url is None:
        return None
    url = url.strip()
    if "://" not in url:
        url = f"https://{url}"
    url = url.rstrip("/")
    if not re.fullmatch(r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(:\d+)?(/[^\s?#]*)?", url):
        raise ValueError("is not a base URL such as https://host or http://127.0.0.1:8080/v1, without user or query")
    return url


USAGE_TABLE = "ai_gateway.usage"
"""Of usage records, where nothing else is said."""


def check_table_name(name: str) -> str:
    """The name itself, if it is one of a table or schema, of at most three parts; else ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+){0,2}", name):
        raise ValueError("is not a table name such as ai_gateway.usage")
    return name


def _check_text(value: Any) -> None:
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("holds half of a surrogate pair, or bytes that are no UTF-8") from None
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_text(key)
            _check_text(inner)


def _tags(value: Any) -> Any:
    if isinstance(value, dict):
        for key, tag in value.items():
            if not isinstance(key, str) or not isinstance(tag, str):
                raise ValueError(f"must map strings to strings, but {key!r} maps to {type(tag).__name__}")
    return value


BaseUrl = Annotated[str | None, AfterValidator(_base_url)]
RequestTags = Annotated[dict[str, str], BeforeValidator(_tags)]
TableName = Annotated[str, AfterValidator(check_table_name)]
TransportName = Literal["pyreqwest", "httpx"]


class PriceConfig(BaseModel):
    """What an endpoint's tokens cost."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    input: float = Field(ge=0, description="US dollars for a million tokens of requests, cached ones left out")
    output: float = Field(default=0.0, ge=0, description="US dollars for a million tokens of answers")
    cache_read: float | None = Field(default=None, ge=0, description="Of those read from a cache; unset: as `input`")
    cache_creation: float | None = Field(
        default=None, ge=0, description="Of those written to a cache; unset: as `input`"
    )


class EndpointConfig(BaseModel):
    """One named target of `ai_query` that is not simply a model service of `host`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    base_url: BaseUrl = Field(
        default=None, description="Base URL of the API, e.g. `http://127.0.0.1:11434/v1`; unset: `host`"
    )
    api: str | None = Field(
        default=None, description="Wire format, e.g. `anthropic/v1/messages`; unset: by the model's name"
    )
    model: str | None = Field(default=None, description="Name sent to the gateway; unset: the endpoint's own name")
    token: SecretStr | None = Field(default=None, description="Value, `env:NAME` or `file:PATH`; unset: none is sent")
    key_header: Annotated[str, AfterValidator(check_header_name)] | None = Field(
        default=None,
        description="Header that carries the bare token, e.g. `api-key`; unset: `Authorization: Bearer`, but for the "
        "native formats of Anthropic's and Google's own hosts",
    )
    headers: Annotated[dict[str, str], AfterValidator(check_headers)] = Field(
        default={},
        description="Further headers of each request; secrets as `env:NAME`, `file:PATH` or `Bearer env:NAME`",
    )
    query: Annotated[dict[str, str], AfterValidator(check_query)] = Field(
        default={}, description="Parameters added to the URL, e.g. `api-version`; secrets as `env:NAME` or `file:PATH`"
    )
    timeout: float | None = Field(
        default=None, gt=0, le=86_400, description="Seconds for one HTTP attempt; unset: `request_timeout`"
    )
    tags_in: TagsIn | None = Field(
        default=None,
        description="What carries the request tags: `header`, the body's `metadata`, `metadata.tags` or `user`, or "
        "`none`; unset: the header for Databricks and this machine, none for others",
    )
    embedding_rows: int = Field(
        default=16, ge=1, le=2048, description="Rows of an embedding service in one request; fewer where they are long"
    )
    prices: PriceConfig | None = Field(
        default=None,
        description="For `budget.max_cost_usd` and the cost of runs; unset: the model's list price, as `genai-prices` "
        "has it",
    )


class Budget(BaseModel):
    """What may be spent in all: by a registration or a client; through Redis, by all of one `coordination_name`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    max_requests: int | None = Field(default=None, ge=1, description="HTTP attempts")
    max_total_tokens: int | None = Field(default=None, ge=1, description="Tokens of requests and answers")
    max_cost_usd: float | None = Field(default=None, gt=0, description="US dollars, by the endpoints' prices")


class GatewayConfig(BaseSettings):
    """Settings of the gateway, the limits and the ledger.

    Each field is a keyword argument or the environment variable `GATEWAY_BATCH_<FIELD>` (JSON for `endpoints`,
    `request_tags` and `budget`); `host` and `token` are `DATABRICKS_HOST` and `DATABRICKS_TOKEN`, as in every
    Databricks tool.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    host: BaseUrl = Field(
        default=None, description="Base URL of the workspace; the gateway's routes are under `/ai-gateway`"
    )
    token: SecretStr | None = Field(
        default=None,
        description="Token of `host`: a value, `env:NAME`, `file:PATH`, or `databricks-sdk` for that package's own "
        "authentication (OAuth and others; the extra `databricks`), which is the default where `DATABRICKS_TOKEN` is "
        "unset and `DATABRICKS_CLIENT_ID` is not",
    )
    endpoints: dict[str, EndpointConfig] = Field(
        default={}, description="Endpoints that are not simply services of `host`"
    )
    request_tags: RequestTags = Field(
        default={}, description="Tags of every request, for the usage table's `request_tags`"
    )
    event_id_tag: str | None = Field(
        default=None,
        pattern=r"\A[A-Za-z0-9_.:\-]{1,128}\z",
        description="A request tag that carries each HTTP attempt's event id, so that a gateway's own table can be "
        "reconciled that has no other id of ours; unset: none",
    )

    max_concurrency: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="Requests in flight at once, over all tasks of registrations with the same limits, or of a "
        "`gb.Client`",
    )
    requests_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="HTTP attempts in any 60 s, over all tasks; unset: no limit",
    )
    tokens_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=10_000_000_000,
        description="Tokens a minute, over all tasks: estimated as a request is sent, corrected by its answer",
    )
    budget: Budget = Field(
        default=Budget(), description="What may be spent in all; then nothing more is sent, and rows have an error"
    )
    request_timeout: float = Field(
        default=600.0,
        gt=0,
        le=86_400,
        description="Seconds for one HTTP attempt; one that takes longer is tried once more, for twice as long, where "
        "`row_deadline` leaves the time",
    )
    row_deadline: float = Field(
        default=900.0, gt=0, le=604_800, description="Seconds for all attempts of a row, waiting included"
    )
    max_attempts: int = Field(
        default=5, ge=1, le=100, description="HTTP attempts of a row; answers 429 are not counted"
    )
    max_retry_after: float = Field(
        default=300.0,
        gt=0,
        le=604_800,
        description="Seconds that a service is waited for at most before it is asked again, whatever its `Retry-After` "
        "says",
    )
    drop_refused_parameters: bool = Field(
        default=False,
        description="Whether a call whose model parameter a service refuses is sent again without it, once and with a "
        "warning; the calls after it leave it out at once",
    )
    max_answer_mb: int = Field(
        default=64, ge=1, le=1024, description="MB of an answer, unpacked; a larger one is an error of its row"
    )
    transport: TransportName = Field(
        default="pyreqwest",
        description="HTTP library of workers and `gb.Client`: `pyreqwest`; or `httpx`, at several times the CPU",
    )

    cache: Annotated[str, AfterValidator(check_cache)] = Field(
        default="query",
        description="`query`: identical requests of a query or a micro-batch are sent once on a host, or once where "
        "`coordination` is a Redis; `run:NAME`: those of all queries and applications with that name, until a week "
        "after the last; `off`: each is sent",
    )
    cache_quota_mb: int = Field(
        default=2048, ge=1, le=1_000_000, description="MB of answers of a query or run; past it new ones are not kept"
    )
    coordination: Annotated[str | SecretStr, BeforeValidator(check_coordination)] = Field(
        default="host",
        description="What tasks share limits and answers through: `host`: their machine; `driver`: the driver; a Redis "
        "URL (`redis://`, `rediss://`, `unix://`), or `env:NAME` or `file:PATH` that hold one. Needs the extra `redis`",
    )
    coordination_name: str = Field(
        default="default",
        pattern=r"\A[A-Za-z0-9_.-]{1,100}\z",
        description="What applications that share a Redis have in common: its limits, budget and `run:` answers",
    )

    task_endpoint: str = Field(
        default="databricks-gpt-5-4", description="Chat endpoint behind `ai_gen`, `ai_classify`, ..."
    )
    similarity_endpoint: str = Field(
        default="databricks-gte-large-en", description="Embedding endpoint behind `ai_similarity`"
    )

    usage_table: TableName = Field(default=USAGE_TABLE, description="Delta table of the usage records")
    spool_dir: str | None = Field(
        default=None,
        description="Folder of records on their way to the table; unset: `_gateway_batch/spool` in the warehouse",
    )
    spool_local_dir: str | None = Field(
        default=None,
        description="Folder of each host where its records are written, and copied from to `spool_dir`; unset: "
        "`spool_dir` itself where all runs on one machine, else one in the host's temporary folder",
    )
    flush_interval: float = Field(
        default=10.0, ge=0, le=86_400, description="Seconds between background flushes; 0: none"
    )
    requester: str | None = Field(
        default=None, description="The usage table's `requester`; unset: Spark's user, the system's for `gb.Client`"
    )
    account_id: str | None = Field(default=None, description="The usage table's `account_id`")
    workspace_id: str | None = Field(default=None, description="The usage table's `workspace_id`")

    @field_validator("*", mode="before")
    @classmethod
    def _check_texts(cls, value: Any) -> Any:
        """Refuses text that can't be written anywhere, as bytes of an environment that are no UTF-8 become."""
        _check_text(value)
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Keyword arguments, then the environment; no files."""
        given = init_settings()

        def from_environment() -> dict[str, Any]:  # a field is taken whole: merged, a token could go to another's URL
            return {name: value for name, value in env_settings().items() if name not in given}

        return init_settings, cast(PydanticBaseSettingsSource, from_environment)

    @classmethod
    def from_env(cls, **settings: Any) -> GatewayConfig:
        """Settings from keyword arguments, then the environment.

        Raises:
            ConfigError: names each setting that is wrong, and what is wrong with it. Never shows a token.
        """
        _check_variables(cls)
        if settings.get("host") is None and (host := os.environ.get("DATABRICKS_HOST")):
            settings["host"] = host
        if settings.get("token") is None and os.environ.get("DATABRICKS_TOKEN"):
            settings["token"] = SecretStr(_DATABRICKS_TOKEN)
        elif settings.get("token") is None and not os.environ.get(_TOKEN) and os.environ.get("DATABRICKS_CLIENT_ID"):
            settings["token"] = SecretStr(LOGIN)
        try:
            config = cls(**settings)
        except ValidationError as error:
            raise ConfigError(_explain(error)) from None
        except Exception as error:
            if type(error).__name__ != "SettingsError":
                raise
            raise ConfigError(f"{error}: it must be JSON") from None
        config.credentials()
        return config

    def tokens(self) -> dict[str, str]:
        """The settings that are secrets or refer to one, by name, values among them: keep them in this process."""
        tokens = {} if self.token is None else {"token": self.token.get_secret_value()}
        for name, endpoint in self.endpoints.items():
            if endpoint.token is not None:
                tokens[f"endpoints.{name}.token"] = endpoint.token.get_secret_value()
        if is_credential(coordination := self._coordination()):
            tokens["coordination"] = coordination
        return tokens

    def credentials(self) -> Credentials:
        """The secrets that this process can resolve."""
        return Credentials.of(self.tokens(), self._fields())

    def credential_of(self, endpoint: str | None) -> str | None:
        """The reference to the token of an endpoint of the configuration, or of `host`."""
        where = "token" if endpoint is None else f"endpoints.{endpoint}.token"
        token = self.tokens().get(where)
        return None if token is None else credential_reference(token, where)

    def coordination_reference(self) -> str:
        """The coordination as plans carry it: without a password."""
        return coordination_reference(self._coordination())

    def _fields(self) -> list[str]:
        """The references in the endpoints' headers and query parameters."""
        values = [value for each in self.endpoints.values() for value in (*each.headers.values(), *each.query.values())]
        return [reference for value in values if (reference := reference_of(value)) is not None]

    def _coordination(self) -> str:
        given = self.coordination
        return given.get_secret_value() if isinstance(given, SecretStr) else given


def _check_variables(model: type[BaseSettings]) -> None:
    known = {f"{PREFIX}{name}".upper() for name in model.model_fields}
    for variable in os.environ:
        if variable.upper().startswith(PREFIX) and variable.upper() not in known:
            raise ConfigError(f"{variable}: no such setting; there are {', '.join(sorted(known))}")


def _explain(error: ValidationError) -> str:
    faults = []
    for fault in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = "no such setting"
        faults.append(f"{name}: {message}")
    return "; ".join(faults)
