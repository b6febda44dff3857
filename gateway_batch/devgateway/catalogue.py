"""Model services: the ready-made ones of `system.ai`, examples a user could have made, and the settings' own.

Custom models are not of the gateway but serving endpoints, with a name of one part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from uuid import NAMESPACE_DNS, uuid5

from gateway_batch.devgateway.ask import Kind
from gateway_batch.devgateway.families import BARE, READY_MADE, full_name, kind_of, near_names, short_name
from gateway_batch.devgateway.settings import ServiceSettings
from gateway_batch.errors import ConfigError

LISTED_MODELS = (
    "gpt-5-2",
    "gpt-5-4",
    "gpt-5-4-mini",
    "gpt-5-5",
    "gpt-5-6-luna",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-oss-20b",
    "gpt-oss-120b",
    "claude-sonnet-4",
    "claude-sonnet-4-5",
    "claude-sonnet-4-6",
    "claude-opus-4-6",
    "claude-opus-4-7",
    "claude-opus-4-8",
    "gemini-2-5-flash",
    "gemini-2-5-pro",
    "gemini-3-1-flash-lite",
    "gemini-3-5-flash",
    "gemma-3-12b",
    "meta-llama-3-1-8b-instruct",
    "meta-llama-3-3-70b-instruct",
    "llama-4-maverick",
    "qwen3-next-80b-a3b-instruct",
    "gte-large-en",
    "bge-large-en",
    "qwen3-embedding-0-6b",
)
"""Those that listings show. Others of their families are found by name."""
EMBEDDING_WIDTH = 1024

DEVELOPER = "dev@example.com"
EXAMPLE_SERVICE = "main.default.support"
EXAMPLE_ENDPOINT = "churn-scorer"
_ENDPOINT_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,62}", re.ASCII)
_NAME = re.compile(r"[^.\s/]{1,255}(\.[^.\s/]{1,255}){2}")


@dataclass(frozen=True)
class Service:
    """A model service, or a custom model's endpoint.

    Attributes:
        model: that it is said to have.
        creator: who made it; None for Databricks.
        answered_by: the model that really answers; None for a stand-in.
    """

    name: str
    model: str
    kind: Kind
    creator: str | None = None
    answered_by: str | None = None

    @cached_property
    def service_id(self) -> str:
        """The same for the same name, always."""
        return str(uuid5(NAMESPACE_DNS, self.name))

    @property
    def build(self) -> str:
        """What answers name as their model."""
        return self.answered_by or f"{self.model}-stand-in"

    @property
    def destination(self) -> str:
        """The model's object, as usage rows name it."""
        return self.model if self.kind is Kind.SCORING else f"{READY_MADE}{BARE}{self.model}"

    @property
    def destination_type(self) -> str | None:
        """As usage rows name it; they have no word for a custom model."""
        return None if self.kind is Kind.SCORING else "PAY_PER_TOKEN_FOUNDATION_MODEL"

    @cached_property
    def destination_id(self) -> str:
        """The same for the same model, always."""
        return str(uuid5(NAMESPACE_DNS, self.destination))

    @property
    def answers_in_blocks(self) -> bool:
        """Whether chat answers are lists of content blocks instead of strings."""
        return self.model.startswith("gpt-oss")


def is_three_part(name: str) -> bool:
    """Whether a name is written as `catalog.schema.name`."""
    return _NAME.fullmatch(name) is not None


@lru_cache(1024)
def _ready_made(name: str) -> Service | None:
    """The service of a three-part name whose model is of a known family; None if there is none."""
    model = name.removeprefix(READY_MADE)
    kind = kind_of(model) if model != name else None
    return Service(name, model, kind) if kind else None


class Catalogue:
    """All services there are, by either form of their names: ready-made ones by their families.

    Args:
        extra: settings by service name; names that are not ready-made become services.

    Raises:
        ConfigError: a name is no service name.
    """

    def __init__(self, extra: Mapping[str, ServiceSettings]) -> None:
        built_in = [
            *(service for model in LISTED_MODELS if (service := _ready_made(READY_MADE + model))),
            Service(EXAMPLE_SERVICE, "gpt-5-4", Kind.CHAT, DEVELOPER),
            Service(EXAMPLE_ENDPOINT, EXAMPLE_ENDPOINT, Kind.SCORING, DEVELOPER),
        ]
        self._services = {service.name: service for service in built_in}
        for name, settings in extra.items():
            self._add(full_name(name), settings)

    def _add(self, name: str, settings: ServiceSettings) -> None:
        if settings.kind is Kind.SCORING or name == EXAMPLE_ENDPOINT:
            self._add_endpoint(name, settings)
            return
        if not is_three_part(name):
            raise ConfigError(f"{name!r} is no service name: write catalog.schema.name or databricks-...")
        if name in self._services and settings.model is None:
            return
        creator = None if name.startswith(READY_MADE) else DEVELOPER
        model = settings.model or name.rpartition(".")[2]
        chosen = settings.kind if "kind" in settings.model_fields_set else kind_of(short_name(model))
        self._services[name] = Service(name, model, chosen or Kind.CHAT, creator)

    def _add_endpoint(self, name: str, settings: ServiceSettings) -> None:
        if _ENDPOINT_NAME.fullmatch(name) is None:
            raise ConfigError(f"{name!r} is no serving endpoint's name: write letters, digits, - and _")
        self._services[name] = Service(name, settings.model or name, Kind.SCORING, DEVELOPER)

    def find(self, name: str) -> Service | None:
        """The service a caller means, None if there is none."""
        full = full_name(name)
        return self._services.get(full) or _ready_made(full)

    def near(self, name: str) -> list[str]:
        """Names of services that a caller may have meant by one that there is none of."""
        return near_names(name, self._services)

    def __iter__(self) -> Iterator[Service]:
        return iter(self._services.values())
