"""Tries what the settings name, one after the other.

An endpoint is asked one tiny, real question (`endpoint_check`), which costs a few tokens and has its usage record. A
server with a `base_url` is also asked which models it lists.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway_batch.apis.anthropic_messages import VERSION as ANTHROPIC_VERSION
from gateway_batch.apis.secrets import masked
from gateway_batch.cli.endpoint_check import Outcome, ask
from gateway_batch.cli.model_listing import listing_says
from gateway_batch.config import GatewayConfig, is_redis, redis_url, resolve_service, spool_folder
from gateway_batch.errors import CallError, ConfigError, LedgerError
from gateway_batch.transport import redis_connection
from gateway_batch.types import Service

_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Check:
    """What was tried, whether it works, and a line about it."""

    name: str
    ok: bool
    says: str


def run_checks(config: GatewayConfig, warehouse: Path) -> Iterator[Check]:
    """Tries everything, one line each."""
    spool_dir = spool_folder(config, warehouse)
    for endpoint in _endpoints(config):
        yield _check_endpoint(config, endpoint, spool_dir)
    if config.host is None and not config.endpoints:
        yield Check("gateway", False, "none is configured: set DATABRICKS_HOST and DATABRICKS_TOKEN, or endpoints")
    yield _check_spool(config, spool_dir)
    yield _check_table(config.usage_table, warehouse)
    yield _check_coordination(config)


def _endpoints(config: GatewayConfig) -> list[str]:
    """Those of the settings, and of `host` the ones that the task functions use."""
    of_host = [] if config.host is None else [config.task_endpoint, config.similarity_endpoint]
    return list(dict.fromkeys([*of_host, *config.endpoints]))


def _check_endpoint(config: GatewayConfig, endpoint: str, spool_dir: Path) -> Check:
    name = f"endpoint {endpoint}"
    try:
        service = resolve_service(config, endpoint)
        outcome = ask(config, service, spool_dir)
    except (ConfigError, CallError) as error:
        return Check(name, False, str(error))
    says, secrets = outcome.says, outcome.address.secrets
    base_url = config.endpoints[endpoint].base_url if endpoint in config.endpoints else None
    if base_url is not None and (outcome.ok or outcome.not_found):
        url = f"{base_url}/models" + (f"?{outcome.address.query}" if outcome.address.query else "")
        says = "; ".join(filter(None, (says, listing_says(url, service.model, _headers(service, outcome), _WITHIN_S))))
    return Check(name, outcome.ok, masked(says, *secrets))


def _headers(service: Service, outcome: Outcome) -> dict[str, str]:
    """Those of its calls that a server may insist on."""
    own = {"anthropic-version": ANTHROPIC_VERSION} if service.api == "anthropic/v1/messages" else {}
    return {**own, **outcome.address.headers}


def _check_spool(config: GatewayConfig, folder: Path) -> Check:
    from gateway_batch.cli.spool_lines import lines_about
    from gateway_batch.local_files.private import NotPrivateError, check_not_planted
    from gateway_batch.usage.shipping import local_folder_for
    from gateway_batch.usage.spool_backlog import backlog

    existing = folder
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        check_not_planted(existing, "set spool_dir to another folder")
        with tempfile.TemporaryDirectory(dir=existing):
            pass
        local = local_folder_for(folder, config.spool_local_dir)
        waiting = lines_about(backlog(folder, local_dir=local), config.usage_table)
    except (NotPrivateError, ConfigError, LedgerError) as error:
        return Check("spool", False, str(error))
    except OSError as error:
        return Check("spool", False, f"{existing} can't be written: {error.strerror}")
    says = f"{folder} can be written" if existing == folder else f"{folder} can be made"
    return Check("spool", True, "; ".join((says, *waiting)))


def _check_table(table: str, warehouse: Path) -> Check:
    from gateway_batch.usage_report import place_of
    from gateway_batch.usage_report.source import open_table

    try:
        place = place_of(table, warehouse)
        if not Path(place.location).exists():
            return Check("usage table", True, f"{table} is not there yet; the first flush makes it")
        found = open_table(place)
    except ConfigError as error:
        return Check("usage table", False, str(error))
    return Check("usage table", True, f"{table}: version {found.version()}, in {place.location}")


def _check_coordination(config: GatewayConfig) -> Check:
    coordination = config.coordination_reference()
    if not is_redis(coordination):
        return Check("coordination", True, f"{coordination}: needs no server")
    try:
        asyncio.run(_ping(redis_url(coordination, config.credentials())))
    except (ConfigError, redis_connection.RedisError) as error:
        return Check("coordination", False, str(error))
    return Check("coordination", True, "Redis answers")


async def _ping(url: str) -> None:
    redis = redis_connection.connect(url)
    try:
        async with redis_connection.asking_redis():
            await redis.ping()
    finally:
        await redis_connection.close(redis)
