"""Tries what the settings name, one after the other, without asking a model anything.

An endpoint is sent a body that no API accepts, through the transport of rows: a gateway that answers 400 or 422 was
reached, and took the token. Not all look for the model before they read the body, so a server with a `base_url` is also
asked which models it lists. Nothing is answered, so nothing is paid, and no usage record is made.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway_batch.apis.anthropic_messages import VERSION as ANTHROPIC_VERSION
from gateway_batch.apis.secrets import hide_token, masked
from gateway_batch.cli.model_listing import listing_says
from gateway_batch.config import GatewayConfig, is_redis, redis_url, resolve_service, spool_folder
from gateway_batch.errors import CallError, ConfigError, LedgerError
from gateway_batch.transport import open_transport, redis_connection
from gateway_batch.types import HttpReply, HttpRequest, Service
from gateway_batch.version import USER_AGENT

_WITHIN_S = 15.0
_LONGEST_MESSAGE = 200
_REFUSED_BODY = (400, 422)
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Check:
    """What was tried, whether it works, and a line about it."""

    name: str
    ok: bool
    says: str


def run_checks(config: GatewayConfig, warehouse: Path) -> Iterator[Check]:
    """Tries everything, one line each."""
    for endpoint in _endpoints(config):
        yield _check_endpoint(config, endpoint)
    if config.host is None and not config.endpoints:
        yield Check("gateway", False, "none is configured: set DATABRICKS_HOST and DATABRICKS_TOKEN, or endpoints")
    yield _check_spool(config, spool_folder(config, warehouse))
    yield _check_table(config.usage_table, warehouse)
    yield _check_coordination(config)


def _endpoints(config: GatewayConfig) -> list[str]:
    """Those of the settings, and of `host` the ones that the task functions use."""
    of_host = [] if config.host is None else [config.task_endpoint, config.similarity_endpoint]
    return list(dict.fromkeys([*of_host, *config.endpoints]))


def _check_endpoint(config: GatewayConfig, endpoint: str) -> Check:
    name = f"endpoint {endpoint}"
    try:
        service = resolve_service(config, endpoint)
    except ConfigError as error:
        return Check(name, False, str(error))
    try:
        token = None if service.credential is None else config.credentials().resolve(service.credential)
        headers = _headers(service, token)
        body = orjson.dumps({"model": service.model})
        reply = hide_token(asyncio.run(_send(HttpRequest(service.url, body, headers), config)), token)
    except ConfigError as error:
        return Check(name, False, str(error))
    except CallError as error:
        return Check(name, False, f"{service.url}: {error}")
    ok, says = _verdict(service, reply)
    base_url = config.endpoints[endpoint].base_url if endpoint in config.endpoints else None
    if base_url is not None and (ok or reply.status == _NOT_FOUND):
        says = "; ".join(filter(None, (says, listing_says(base_url, service.model, headers, _WITHIN_S))))
    return Check(name, ok, masked(says, token))


def _headers(service: Service, token: str | None) -> dict[str, str]:
    """Those of its calls that a server may insist on."""
    headers = {"anthropic-version": ANTHROPIC_VERSION} if service.api == "anthropic/v1/messages" else {}
    if token is not None:
        headers |= {service.key_header: token} if service.key_header else {"authorization": f"Bearer {token}"}
    return headers


async def _send(request: HttpRequest, config: GatewayConfig) -> HttpReply:
    transport = open_transport(config.transport, USER_AGENT, config.max_answer_mb << 20)
    try:
        return await transport.send(request, _WITHIN_S)
    finally:
        await transport.close()


def _verdict(service: Service, reply: HttpReply) -> tuple[bool, str]:
    """What an answer to a body that can't be accepted says of the endpoint."""
    where = f"{service.url} ({service.api})"
    match reply.status:
        case status if status in _REFUSED_BODY or 200 <= status < 300:
            return True, f"{where} answers, and takes the token" if service.credential else f"{where} answers"
        case 401 | 403:
            source = service.credential or "no token is set"
            return False, f"{where} refuses the token ({source}): HTTP {reply.status} {_message(reply)}"
        case status if status == _NOT_FOUND:
            return False, f"{where} is not known there: HTTP 404 {_message(reply)}"
        case 429:
            return True, f"{where} answers, and is at its rate limit (HTTP 429)"
        case status:
            return False, f"{where} answers HTTP {status} {_message(reply)}"


def _message(reply: HttpReply) -> str:
    text = " ".join(reply.body.decode("utf-8", "replace").split())
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 1]}…"


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
