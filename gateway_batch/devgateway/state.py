"""What a running gateway keeps between requests: settings in force, limits, fault scripts, counts, the ledger."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from gateway_batch.devgateway.backend import Backend
from gateway_batch.devgateway.catalogue import Catalogue, Service
from gateway_batch.devgateway.families import full_name
from gateway_batch.devgateway.faults import Script
from gateway_batch.devgateway.ledger import Ledger
from gateway_batch.devgateway.limits import Meter
from gateway_batch.devgateway.prompt_cache import PromptCache
from gateway_batch.devgateway.settings import Behaviour, Fault, Settings
from gateway_batch.devgateway.stats import Stats

LEDGER_NAME = "devgateway-usage.sqlite"


class State:
    """Opens the ledger.

    Args:
        settings: in force at first.
        backend: what answers.

    Raises:
        ConfigError: a service's name or the ledger's file won't do.
    """

    def __init__(self, settings: Settings, backend: Backend) -> None:
        self.backend = backend
        self.token = settings.token
        self.token_lifetime_s = settings.token_lifetime_s
        self.issued_tokens: dict[str, float] = {}
        self.catalogue = Catalogue(settings.services)
        self.stats = Stats()
        self.prompt_cache = PromptCache()
        self.ledger = Ledger(settings.ledger or Path(tempfile.mkdtemp(prefix="devgateway-")) / LEDGER_NAME)
        self._all: Behaviour = settings
        self._own: dict[str, Behaviour] = {full_name(name): own for name, own in settings.services.items()}
        self._script = Script(settings.faults)
        self._scripts = {name: Script(own.faults) for name, own in self._own.items()}
        self._meters: dict[str, Meter] = {}

    def behaviour(self, service: Service) -> Behaviour:
        """What is in force for a service; its faults are not in it, ask `fault`."""
        return self._behaviour(service.name)

    def _behaviour(self, name: str) -> Behaviour:
        own = self._own.get(name)
        if own is None:
            return self._all
        differing = {field: value for field in _FIELDS if (value := getattr(own, field)) is not None}
        return self._all.model_copy(update=differing)

    def meter(self, service: Service) -> Meter:
        """The service's limits."""
        if service.name not in self._meters:
            behaviour = self.behaviour(service)
            self._meters[service.name] = Meter(behaviour.rpm, behaviour.tpm, time.monotonic())
        return self._meters[service.name]

    def fault(self, service: Service, prompt: str, seen: int) -> Fault | None:
        """What goes wrong with a request: the service's own script decides before everyone's."""
        own = self._scripts.get(service.name)
        found = own.pick(prompt, seen) if own else None
        return found or self._script.pick(prompt, seen)

    def change(self, behaviour: Behaviour, service: str | None) -> None:
        """Changes the fields that were set, for one service or for all. Limits that change start afresh."""
        changed = {field: getattr(behaviour, field) for field in behaviour.model_fields_set}
        if service is None:
            self._all = self._all.model_copy(update=changed)
            if "faults" in changed:
                self._script = Script(behaviour.faults)
        else:
            name = full_name(service)
            self._own[name] = self._own.get(name, Behaviour()).model_copy(update=changed)
            if "faults" in changed:
                self._scripts[name] = Script(behaviour.faults)
        if not changed.keys().isdisjoint(("rpm", "tpm")):
            self._meters.clear()

    def reset(self) -> None:
        """Forgets counts, what was used of the limits and which faults have fired; settings and ledger stay."""
        self.stats.reset()
        self._meters.clear()
        for script in (self._script, *self._scripts.values()):
            script.reset()


_FIELDS = ("latency_ms", "stream_pause_ms", "rpm", "tpm")
