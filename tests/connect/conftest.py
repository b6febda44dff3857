"""One Spark Connect server and one gateway for the whole folder, which needs a pytest process of its own.

A process is either a classic one or a Spark Connect one to pyspark.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.spark.session.messages import first_line
from tests.conformance.echo import echo_server_running
from tests.conformance.fixtures import echoed, echoed_tags, texts
from tests.conformance.session import endpoints
from tests.connect.server import connect_server

__all__ = ["echoed", "echoed_tags", "texts"]

TOKEN = "connect-tests-token"
MODEL = "databricks-gpt-5-4"
AS_STARTED: dict[str, Any] = {"latency_ms": None, "rpm": None, "tpm": None, "faults": []}

Register = Callable[..., gb.Gateway]


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("connect")


@pytest.fixture(scope="package")
def address(folder: Path) -> Iterator[str]:
    (folder / "token.txt").write_text(TOKEN)
    with connect_server(folder, {"DATABRICKS_TOKEN": TOKEN}) as address:
        yield address


@pytest.fixture(scope="package")
def spark(address: str) -> Iterator[SparkSession]:
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    session = SparkSession.builder.remote(address).getOrCreate()
    yield session
    session.stop()
    os.environ.pop("SPARK_CONNECT_MODE_ENABLED", None)


@pytest.fixture(scope="package")
def shared_server(folder: Path) -> Iterator[RunningGateway]:
    with running(Settings(port=0, token=TOKEN, ledger=folder / "ledger.sqlite")) as server:
        yield server


@pytest.fixture
def server(shared_server: RunningGateway) -> Iterator[RunningGateway]:
    shared_server.configure(**AS_STARTED)
    shared_server.reset()
    yield shared_server
    shared_server.configure(**AS_STARTED)


@pytest.fixture(scope="package")
def echo_server() -> Iterator[str]:
    with echo_server_running() as base_url:
        yield base_url


@pytest.fixture
def register(
    spark: SparkSession, server: RunningGateway, echo_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Register]:
    """Registers `ai_query` with a spool and a usage table of the test's own; the workers' environment has the token."""
    opened: list[gb.Gateway] = []

    def register_with(name: str = "ai_query", session: SparkSession = spark, **settings: Any) -> gb.Gateway:
        own = {"spool_dir": str(tmp_path / "spool"), "usage_table": f"t_{abs(hash(str(tmp_path))):x}.usage"}
        opened.append(gb.register_ai_query(session, make_config(server, echo_server, **{**own, **settings}), name))
        return opened[-1]

    yield register_with
    for gateway in opened:
        monkeypatch.setattr(gateway.usage, "flush", lambda: 0)  # a test has flushed what it looks at
        gateway.close()


@pytest.fixture
def gateway(register: Register) -> gb.Gateway:
    """A registration whose ledger is the test's own."""
    return register()


@pytest.fixture(scope="module")
def registered(
    spark: SparkSession, shared_server: RunningGateway, echo_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[gb.Gateway]:
    """One registration for a module's tests that don't look at the ledger."""
    own = {"spool_dir": str(tmp_path_factory.mktemp("spool")), "usage_table": "shared.usage"}
    gateway = gb.register_ai_query(spark, make_config(shared_server, echo_server, max_attempts=2, **own))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway.usage, "flush", lambda: 0)  # nobody reads the table
        yield gateway
        gateway.close()


def make_config(server: RunningGateway, echo_server: str, **settings: Any) -> gb.GatewayConfig:
    defaults = {
        "host": server.host,
        "token": "env:DATABRICKS_TOKEN",
        "endpoints": endpoints(echo_server),
        "flush_interval": 0,
    }
    return gb.GatewayConfig.from_env(**{**defaults, **settings})


def answer(spark: SparkSession, call: str) -> Any:
    """What a call gives for one row."""
    row = spark.sql(f"SELECT {call} AS a").first()
    assert row is not None
    return row.a


def refusal(spark: SparkSession, statement: str) -> str:
    """The line that a statement's error says."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  its text is what is looked at
        spark.sql(statement).collect()
    return first_line(caught.value)
