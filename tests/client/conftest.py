"""`gb.Client` against one real gateway process; each test has a spool of its own and its own part of the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from gateway_batch import Client, GatewayConfig
from gateway_batch.devgateway import RunningGateway, Settings, running
from tests.unit.conftest import clean_environment as clean_environment
from tests.waiting import wait_until

from .transports import OPENERS, Opener

TOKEN = "client-tests-token"
AS_STARTED: dict[str, Any] = {"latency_ms": None, "rpm": None, "tpm": None, "faults": []}
COMPARED = (
    "request_id",
    "endpoint_name",
    "api_type",
    "status_code",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "request_tags",
)

Row = dict[str, Any]
Open = Callable[..., Client]
GatewayRecord = Callable[[], dict[str, Row]]


@pytest.fixture(params=OPENERS)
def open_transport(request: pytest.FixtureRequest) -> Opener:
    """Opens one more of a transport, on a running loop."""
    return OPENERS[request.param]


@pytest.fixture(scope="session")
def shared_server() -> Iterator[RunningGateway]:
    with running(Settings(port=0, token=TOKEN)) as server:
        yield server


@pytest.fixture
def server(shared_server: RunningGateway) -> Iterator[RunningGateway]:
    shared_server.configure(**AS_STARTED)
    shared_server.reset()
    yield shared_server
    wait_until_idle(shared_server)
    shared_server.configure(**AS_STARTED)


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture(params=["pyreqwest", "httpx"])
def open_client(request: pytest.FixtureRequest, server: RunningGateway, spool_dir: Path) -> Iterator[Open]:
    opened: list[Client] = []

    def open_with(http_client: httpx.AsyncClient | None = None, **settings: Any) -> Client:
        given = {
            "host": server.host, "token": TOKEN, "spool_dir": str(spool_dir), "transport": request.param, **settings,
        }  # fmt: skip
        opened.append(Client(GatewayConfig.from_env(**given), http_client=http_client))
        return opened[-1]

    yield open_with
    for client in opened:
        client.close()


@pytest.fixture
def gateway_record(server: RunningGateway) -> GatewayRecord:
    """What the gateway recorded since the test began, by the caller's event id: a row each.

    A request that its caller gave up has its row when the gateway has ended it.
    """

    def read() -> dict[str, Row]:
        wait_until_idle(server)
        with closing(sqlite3.connect(server.ledger)) as ledger:
            names = ", ".join(COMPARED)
            found = ledger.execute(f"SELECT client_request_id, {names} FROM usage WHERE rowid > ?", (before,))
            rows = [(key, dict(zip(COMPARED, values, strict=True))) for key, *values in found]
        assert len(dict(rows)) == len(rows), "an event id came twice"
        return {key: {**row, "request_tags": orjson.loads(row["request_tags"])} for key, row in rows}

    with closing(sqlite3.connect(server.ledger)) as ledger:
        ((before,),) = ledger.execute("SELECT coalesce(max(rowid), 0) FROM usage")
    return read


def wait_until_idle(server: RunningGateway) -> None:
    wait_until(lambda: server.stats()["in_flight"] == 0, "that the gateway is idle")


def wait_until_busy(server: RunningGateway) -> None:
    wait_until(lambda: server.stats()["in_flight"] > 0, "that a request reaches the gateway")


def ours(rows: list[Row]) -> dict[str, Row]:
    """A spool's rows by event id, as the gateway has them: one each."""
    by_id = {row["client_metadata"]["event_id"]: {name: row[name] for name in COMPARED} for row in rows}
    assert len(by_id) == len(rows), "an event id came twice"
    return by_id
