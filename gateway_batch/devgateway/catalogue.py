"""Model services: the ready-made ones of `system.ai`, examples a user could have made, and the settings' own.

Custom models are not of the gateway but serving endpoints, with a name of one part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from uuid import NAMESPACE_DNS, uuid5

from gateway_batch.devgateway.ask import Kind
from gateway_batch.devgateway.settings import ServiceSettings
from gateway_batch.errors import ConfigError

CHAT_MODELS = (
    "gpt-5-4",
    "gpt-5-4-mini",
    "gpt-5-5",
    "gpt-5-6-luna",
    "gpt-oss-20b",
    "gpt-oss-120b",
    "claude-sonnet-4",
    "claude-sonnet-4-5",
    "claude-opus-4-6",
    "claude-opus-4-8",
    "gemini-2-5-flash",
    "gemini-2-5-pro",
    "meta-llama-3-3-70b-instruct",
    "llama-4-maverick",
)
EMBEDDING_MODELS = ("gte-large-en", "bge-large-en")
EMBEDDING_WIDTH = 1024

DEVELOPER = "dev@example.com"
EXAMPLE_SERVICE = "main.default.support"
EXAMPLE_ENDPOINT = "churn-scorer"
_BARE = "databricks-"
_READY_MADE = "system.ai."
_ENDPOINT_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,62}", re.ASCII)
_NAME = re.compile(r"[^.\s/]{1,255}(\.[^.\s/]{1,255}){2}")


@dataclass(frozen=True)
class Service:
    """A model service, or a custom model's endpoint: its name, the model behind it, who made it (None: Databricks)."""

    name: str
    model: str
    kind: Kind
    creator: str | None = None

    @cached_property
    def service_id(self) -> str:
        """The same for the same name, always."""
        return str(uuid5(NAMESPACE_DNS, self.name))

    @property
    def build(self) -> str:
        """What answers name as their model."""
        return f"{self.model}-stand-in"

    @property
    def destination(self) -> str:
        """The model's object, as usage rows name it."""
        return self.model if self.kind is Kind.SCORING else f"{_READY_MADE}{_BARE}{self.model}"

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


def full_name(name: str) -> str:
    """The three-part name: a bare `databricks-x` means `system.ai.x`."""
    return _READY_MADE + name.removeprefix(_BARE) if name.startswith(_BARE) and "." not in name else name


def is_three_part(name: str) -> bool:
    """Whether a name is written as `catalog.schema.name`."""
    return _NAME.fullmatch(name) is not None


def _ready_made(models: tuple[str, ...], kind: Kind) -> Iterator[Service]:
    return (Service(_READY_MADE + model, model, kind) for model in models)


class Catalogue:
    """All services there are, by either form of their names.

    Args:
        extra: settings by service name; names that are not built in become services.

    Raises:
        ConfigError: a name is no service name.
    """

    def __init__(self, extra: Mapping[str, ServiceSettings]) -> None:
        built_in = [
            *_ready_made(CHAT_MODELS, Kind.CHAT),
            *_ready_made(EMBEDDING_MODELS, Kind.EMBEDDINGS),
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
        creator = None if name.startswith(_READY_MADE) else DEVELOPER
        model = settings.model or name.rpartition(".")[2]
        if name not in self._services or settings.model is not None:
            self._services[name] = Service(name, model, settings.kind, creator)

    def _add_endpoint(self, name: str, settings: ServiceSettings) -> None:
        if _ENDPOINT_NAME.fullmatch(name) is None:
            raise ConfigError(f"{name!r} is no serving endpoint's name: write letters, digits, - and _")
        self._services[name] = Service(name, settings.model or name, Kind.SCORING, DEVELOPER)

    def find(self, name: str) -> Service | None:
        """The service a caller means, None if there is none."""
        return self._services.get(full_name(name))

    def __iter__(self) -> Iterator[Service]:
        return iter(self._services.values())
