"""Builds the limiter for the configured coordination backend."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gateway_batch.admission import (
    DriverLeaseStore,
    HostLeaseStore,
    HostSlots,
    HostThrottleStates,
    LeaseClient,
    LeaseStore,
    Limiter,
    Limits,
    RedisLeaseStore,
)
from gateway_batch.config import DRIVER, HOST, Credentials, GatewayConfig, redis_url
from gateway_batch.transport.redis_connection import connect
from gateway_batch.types import HttpReply, HttpRequest

LEASE_TOKEN = "value:leases"
"""Stands for the token of the driver's lease service among the credentials."""

_STATE = "limits"

Send = Callable[[HttpRequest, float], Awaitable[HttpReply]]


@dataclass(frozen=True)
class CoordinationConfig:
    """Which limits hold, and which processes share them. It travels in Spark's plans: no secret is in here.

    Attributes:
        limits: of all processes together.
        budget: names what shares its budget.
        backend: `host`, `driver`, a Redis URL without a password, or the reference to one that has one.
        name: what applications that share a Redis have in common.
        lease_url: of the driver's lease service, with `driver`.
    """

    limits: Limits
    budget: str
    backend: str = HOST
    name: str = "default"
    lease_url: str | None = None

    @property
    def concurrency(self) -> int:
        """Requests in flight at once."""
        assert self.limits.concurrency is not None
        return self.limits.concurrency


def limits_of(config: GatewayConfig) -> Limits:
    """The limits that the settings name."""
    budget = config.budget
    return Limits(
        concurrency=config.max_concurrency,
        requests_per_minute=config.requests_per_minute,
        tokens_per_minute=config.tokens_per_minute,
        max_requests=budget.max_requests,
        max_total_tokens=budget.max_total_tokens,
        max_cost_usd=budget.max_cost_usd,
    )


def open_limiter(
    coordination: CoordinationConfig,
    folder: Path,
    credentials: Credentials,
    send: Send,
    clock: Callable[[], float],
) -> Limiter:
    """This process's limiter. Call it on the event loop that the limiter belongs to.

    Args:
        coordination: which limits it shares, and with whom.
        folder: of the scope, shared by its processes on this host.
        credentials: resolve the backend's token.
        send: sends a request to the driver.
        clock: the loop's.

    Raises:
        ConfigError: the backend's URL, token or package is missing.
    """
    total, states = coordination.concurrency, HostThrottleStates(folder / "services")
    if coordination.backend == HOST:
        slots = HostSlots(folder / f"slots-{total}", total)
        leased = replace(coordination.limits, concurrency=None)  # slots are locks of this host
        limiter = Limiter(slots, total, clock, random.random, states)
        if leased.any:
            limiter.join(
                LeaseClient(leased, coordination.budget, HostLeaseStore(folder / "limits.sqlite"), clock, limiter.look)
            )
        return limiter
    limiter = Limiter(None, total, clock, random.random, states)
    store = _lease_store(coordination, credentials, send)
    limiter.join(LeaseClient(coordination.limits, coordination.budget, store, clock, limiter.look))
    return limiter


def _lease_store(
    coordination: CoordinationConfig,
    credentials: Credentials,
    send: Send,
) -> LeaseStore:
    if coordination.backend == DRIVER:
        assert coordination.lease_url is not None
        return DriverLeaseStore(coordination.lease_url, _STATE, credentials.resolve(LEASE_TOKEN), send)
    redis = connect(redis_url(coordination.backend, credentials))
    return RedisLeaseStore(redis, f"gateway_batch:{coordination.name}:{_STATE}")
