"""Settings of the development gateway: where it listens, what it serves, what goes wrong on purpose."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from gateway_batch.devgateway.ask import Kind
from gateway_batch.devgateway.patterns import is_found
from gateway_batch.devgateway.real_answers import real_answer
from gateway_batch.errors import ConfigError

Milliseconds = Annotated[float, Field(ge=0)]
PerMinute = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fault(_Strict):
    """One rule of a fault script. The first rule that applies to a request decides, later ones don't see it.

    Attributes:
        match: regular expression of RE2, searched in the prompt's first 100,000 characters; None applies to all.
        share: of the matching requests, 0 to 1; decided by prompt and by how often it was seen, so that a run
            repeats itself however its requests interleave.
        times: how often the rule may fire in all.
        times_per_prompt: number of requests of each prompt that the rule hits, the first ones.
        status: answer with this HTTP error.
        disconnect: close the connection without an answer.
        truncate: close it in the middle of the body.
        not_json: answer 200 with a page of HTML.
        policy: answer 200 with a policy denial.
        answer: name of a real service's answer (`real_answers`), whose status, headers and body are sent as they are,
            on any route.
        tokens: what the answer says of each of its token counts, whatever they are; its own record has the true ones.
        headers: of the answer, besides its own ones; characters beyond Latin-1 become `?`.
        latency_ms: in place of the service's own; alone it only slows down.
        retry_after: seconds in the `Retry-After` header.
        error_code: in place of the status' usual one.
        message: in place of the usual one.
    """

    match: str | None = None
    share: float | None = Field(default=None, ge=0, le=1)
    times: int | None = Field(default=None, ge=1)
    times_per_prompt: int | None = Field(default=None, ge=1)
    status: int | None = Field(default=None, ge=400, le=599)
    disconnect: bool = False
    truncate: bool = False
    not_json: bool = False
    policy: bool = False
    answer: str | None = None
    tokens: int | None = Field(default=None, ge=-(2**63), lt=2**64)
    headers: dict[str, str] = Field(default_factory=dict)
    latency_ms: Milliseconds | None = None
    retry_after: float | None = Field(default=None, ge=0)
    error_code: str | None = None
    message: str | None = None

    @field_validator("match")
    @classmethod
    def _check_match(cls, match: str | None) -> str | None:
        try:
            is_found(match or "", "")
        except ValueError as error:
            raise ValueError(f"not a regular expression of RE2: {error}") from error
        return match

    @field_validator("answer")
    @classmethod
    def _check_answer(cls, answer: str | None) -> str | None:
        if answer is not None:
            real_answer(answer)
        return answer

    @model_validator(mode="after")
    def _check_effect(self) -> Self:
        of_flags = (self.disconnect, self.truncate, self.not_json, self.policy)
        effects = (self.status is not None, self.answer is not None, *of_flags)
        if sum(effects) > 1:
            raise ValueError("a fault is one of status, disconnect, truncate, not_json, policy and answer")
        if not any(effects) and self.latency_ms is None and self.tokens is None and not self.headers:
            raise ValueError(
                "a fault needs one of status, disconnect, truncate, not_json, policy, answer, tokens, headers and "
                "latency_ms"
            )
        return self


class Behaviour(_Strict):
    """How services behave. For one service, None means as set for all."""

    latency_ms: Milliseconds | None = None
    stream_pause_ms: Milliseconds | None = None
    rpm: PerMinute | None = None
    tpm: PerMinute | None = None
    faults: tuple[Fault, ...] = ()


class ServiceSettings(Behaviour):
    """One model service: what differs from the rest, and what it is if the catalogue doesn't have it.

    Attributes:
        kind: `chat`, `embeddings`, or `scoring` for a custom model's endpoint.
        model: the model behind a service of one's own; by default the last part of its name.
    """

    kind: Kind = Kind.CHAT
    model: str | None = None


class Models(StrEnum):
    """What answers: deterministic code, or small real models on this machine."""

    STAND_IN = "stand-in"
    LOCAL = "local"


class Settings(Behaviour):
    """All of a development gateway.

    Attributes:
        host: address to listen on. Beyond loopback it needs a token.
        port: 0 picks a free one.
        token: what callers must present; without one, any credential or none will do.
        models: what answers. Local models need the extra `local`, and answer some 20 tokens a second.
        latency_ms: between a request's arrival and its answer.
        stream_pause_ms: between the events of a stream.
        rpm, tpm: requests and tokens per minute, of each service by itself.
        faults: for every service, after its own.
        token_lifetime_s: of the tokens that it issues by OAuth's client credentials, whose secret is `token`.
        ledger: SQLite file of its usage; without one, a new file in a temporary folder.
        services: by name, `catalog.schema.name` or a bare `databricks-...`; custom models have a name of one part.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    token: str | None = Field(default=None, repr=False)
    token_lifetime_s: float = Field(default=3600.0, gt=0)
    ledger: Path | None = None
    models: Models = Models.STAND_IN
    services: dict[str, ServiceSettings] = Field(default_factory=dict)


def read_services(path: Path) -> dict[str, ServiceSettings]:
    """Services from a JSON file: an object of service names and their settings.

    Raises:
        ConfigError: the file can't be read or holds something else.
    """
    try:
        return TypeAdapter(dict[str, ServiceSettings]).validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read services from {path}: {error.strerror}") from error
    except ValidationError as error:
        raise ConfigError(f"services in {path}: {describe(error)}") from error


def describe(error: ValidationError) -> str:
    """A validation error on one line, without the values."""
    problems = error.errors(include_url=False, include_input=False)
    return "; ".join(": ".join(filter(None, (".".join(map(str, at["loc"])), at["msg"]))) for at in problems)


def is_loopback(host: str) -> bool:
    """Whether an address is only reachable from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_exposure(settings: Settings) -> None:
    """Refuses to listen beyond loopback without a token.

    Raises:
        ConfigError: it would.
    """
    if settings.token is None and not is_loopback(settings.host):
        raise ConfigError(f"refusing to listen on {settings.host} without a token: set one, or use 127.0.0.1")
