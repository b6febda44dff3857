"""Counts since the last reset."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from gateway_batch.devgateway.ask import JsonObject


@dataclass(slots=True)
class Stats:
    """What went through. `in_flight` is of the moment and outlives a reset."""

    in_flight: int = 0
    max_in_flight: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    by_service: Counter[str] = field(default_factory=Counter)
    _prompts: Counter[int] = field(default_factory=Counter)

    def enter(self) -> None:
        """A request has arrived."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def leave(self, status: int | None, service: str | None) -> None:
        """A request is done with; without a status it was never answered."""
        self.in_flight -= 1
        self.by_status["none" if status is None else str(status)] += 1
        if service is not None:
            self.by_service[service] += 1

    def see(self, prompt: str) -> int:
        """Notes a prompt and returns how often it was seen before."""
        key = hash(prompt)
        self._prompts[key] += 1
        return self._prompts[key] - 1

    def reset(self) -> None:
        """Starts again."""
        self.max_in_flight = self.in_flight
        self.by_status.clear()
        self.by_service.clear()
        self._prompts.clear()

    def as_json(self) -> JsonObject:
        """For the control route. `requests` are the finished ones."""
        return {
            "requests": self.by_status.total(),
            "by_status": dict(self.by_status),
            "by_service": dict(self.by_service),
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "distinct_prompts": len(self._prompts),
        }
