"""One Spark session and one gateway process for the whole folder.

A test that looks at its usage shares a ledger with others (`register_shared`), and knows its own rows by their
requester and its requests by a tag; one that makes, alters or loses tables has a ledger of its own (`register`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.spark.ledger.reconcile import count_classes
from tests.conformance.echo import echo_server_running
from tests.conformance.fixtures import echoed, echoed_tags, texts
from tests.quick_start import COMPILED, PATIENT, SMALL_TABLES

__all__ = ["echoed", "echoed_tags", "texts"]

TOKEN = "spark-tests-token"
MODEL = "databricks-gpt-5-4"
SHARED_LEDGER = "shared_ledger.usage"
AS_STARTED: dict[str, Any] = {"latency_ms": None, "rpm": None, "tpm": None, "faults": []}

SETTINGS = {"spark.log.level": "ERROR", "spark.ui.showConsoleProgress": "false", **SMALL_TABLES, **PATIENT}

Register = Callable[..., gb.Gateway]
Count = Callable[[Callable[[], object]], int]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    warehouse = tmp_path_factory.mktemp("spark") / "warehouse"
    session = gb.local_session(warehouse=warehouse, master="local[2,2]", settings=SETTINGS)
    yield session
    session.stop()


@contextmanager
def compiling(spark: SparkSession) -> Iterator[None]:
    """Queries inside are compiled, as users' are."""
    for name, value in COMPILED.items():
        spark.conf.set(name, value)
    yield
    for name in COMPILED:
        spark.conf.unset(name)


@pytest.fixture(scope="module")
def compiled(spark: SparkSession) -> Iterator[None]:
    """For modules that try how rows reach `ai_query`."""
    with compiling(spark):
        yield


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    ledger = tmp_path_factory.mktemp("gateway") / "ledger.sqlite"
    with running(Settings(port=0, token=TOKEN, ledger=ledger)) as server:
        yield server


@pytest.fixture
def server(shared_server: RunningGateway) -> Iterator[RunningGateway]:
    shared_server.configure(**AS_STARTED)
    shared_server.reset()
    yield shared_server
    shared_server.configure(**AS_STARTED)


@pytest.fixture
def register(
    spark: SparkSession, server: RunningGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Register]:
    """Registers `ai_query` with a spool and a usage table of the test's own."""
    opened: list[gb.Gateway] = []

    def register_with(name: str = "ai_query", **settings: Any) -> gb.Gateway:
        own = {"spool_dir": str(tmp_path / "spool"), "usage_table": f"t_{abs(hash(str(tmp_path))):x}.usage"}
        opened.append(gb.register_ai_query(spark, _config(server, **{**own, **settings}), name))
        return opened[-1]

    yield register_with
    for gateway in opened:
        # A test has flushed what it looks at; the rest would cost two seconds for tables that nobody reads.
        monkeypatch.setattr(gateway.usage, "flush", lambda: 0)
        gateway.close()


@pytest.fixture
def register_shared(register: Register, tmp_path: Path) -> Register:
    """Registers `ai_query` with a spool of the test's own and the usage table that all such tests share."""

    def register_with(name: str = "ai_query", **settings: Any) -> gb.Gateway:
        test = tmp_path.name
        shared = {"usage_table": SHARED_LEDGER, "requester": test, "request_tags": {"test": test}}
        return register(name, **{**shared, **settings})

    return register_with


def own_rows(gateway: gb.Gateway) -> DataFrame:
    """A registration's rows in its usage table, by their requester; all, if it names none."""
    rows, requester = gateway.spark.table(gateway.usage.table), gateway.config.requester
    return rows if requester is None else rows.where(F.col("requester") == requester)


def own_classes(gateway: gb.Gateway, server: RunningGateway) -> dict[str, int]:
    """The requests of a registration that the usage table and the gateway's record differ on, by class."""
    own_rows(gateway).createOrReplaceTempView("own_rows")
    where = " AND ".join(f"request_tags['{name}'] = '{value}'" for name, value in gateway.config.request_tags.items())
    return dict(count_classes(gateway.spark, "own_rows", server.ledger, where=where or None, examples=0).counts)


@pytest.fixture
def gateway(register: Register) -> gb.Gateway:
    """A registration whose ledger is the test's own."""
    return register()


@pytest.fixture(scope="module")
def registered(
    spark: SparkSession, shared_server: RunningGateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[gb.Gateway]:
    """One registration for a module's tests that don't look at the ledger."""
    own = {"spool_dir": str(tmp_path_factory.mktemp("spool")), "usage_table": "shared.usage"}
    gateway = gb.register_ai_query(spark, _config(shared_server, **own))
    yield gateway
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway.usage, "flush", lambda: 0)
        gateway.close()


def _config(server: RunningGateway, **settings: Any) -> gb.GatewayConfig:
    return gb.GatewayConfig.from_env(**{"host": server.host, "token": TOKEN, "flush_interval": 0, **settings})


@pytest.fixture
def requests(server: RunningGateway) -> Count:
    """How many requests reach the gateway while an action runs."""

    def count(action: Callable[[], object]) -> int:
        server.reset()
        action()
        return int(server.stats()["requests"])

    return count


@pytest.fixture(scope="session")
def echo_server() -> Iterator[str]:
    with echo_server_running() as base_url:
        yield base_url
