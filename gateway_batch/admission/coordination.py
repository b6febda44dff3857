"""How a process joins those that it shares limits with, by the setting `coordination`."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gateway_batch.admission import (
    HostBoards,
    HostPool,
    HostSlots,
    Limiter,
    Limits,
    Pool,
    Ration,
    RedisPool,
    RemotePool,
)
from gateway_batch.config import DRIVER, HOST, Credentials, GatewayConfig, redis_url
from gateway_batch.transport.redis_connection import connect
from gateway_batch.types import HttpReply, HttpRequest

LEASE_TOKEN = "value:leases"
"""Stands for the token of the driver's lease service among the credentials."""

_POOL = "limits"


@dataclass(frozen=True)
class Sharing:
    """Which limits hold, and what they hold for. It travels in Spark's plans: no secret is in here.

    Attributes:
        limits: of all processes together.
        budget: names what shares its budget.
        coordination: `host`, `driver`, a Redis URL without a password, or the reference to one that has one.
        coordination_name: what applications that share a Redis have in common.
        leases: URL of the driver's lease service, with `driver`.
    """

    limits: Limits
    budget: str
    coordination: str = HOST
    coordination_name: str = "default"
    leases: str | None = None

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
    sharing: Sharing,
    folder: Path,
    credentials: Credentials,
    send: Callable[[HttpRequest, float], Awaitable[HttpReply]],
    clock: Callable[[], float],
) -> Limiter:
    """This process's limiter. Call it on the event loop that the limiter belongs to.

    Args:
        sharing: what it shares.
        folder: which the processes of the scope share on this host.
        credentials: resolve the tokens of what it shares through.
        send: sends a request to the driver.
        clock: the loop's.

    Raises:
        ConfigError: what it shares through can't be had: a URL, a token or a package is missing.
    """
    total, boards = sharing.concurrency, HostBoards(folder / "services")
    if sharing.coordination == HOST:
        slots = HostSlots(folder / f"slots-{total}", total)
        beside = replace(sharing.limits, concurrency=None)  # locks are at once, and need no lease
        limiter = Limiter(slots, total, clock, random.random, boards)
        if beside.any:
            limiter.join(Ration(beside, sharing.budget, HostPool(folder / "limits.sqlite"), clock, limiter.look))
        return limiter
    limiter = Limiter(None, total, clock, random.random, boards)
    pool = _shared_pool(sharing, credentials, send)
    limiter.join(Ration(sharing.limits, sharing.budget, pool, clock, limiter.look))
    return limiter


def _shared_pool(
    sharing: Sharing, credentials: Credentials, send: Callable[[HttpRequest, float], Awaitable[HttpReply]]
) -> Pool:
    if sharing.coordination == DRIVER:
        assert sharing.leases is not None
        return RemotePool(sharing.leases, _POOL, credentials.resolve(LEASE_TOKEN), send)
    redis = connect(redis_url(sharing.coordination, credentials))
    return RedisPool(redis, f"gateway_batch:{sharing.coordination_name}:{_POOL}")
