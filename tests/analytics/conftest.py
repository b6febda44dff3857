"""One Spark session, and one usage table with its views, for the whole folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Page
from pyspark.sql import SparkSession
from typer.testing import CliRunner

import gateway_batch as gb
from gateway_batch.cli.main import app
from gateway_batch.dashboard.cube import UsageCube
from gateway_batch.dashboard.read import read_cube
from tests.analytics.usage_views import OWN_PRICES, Usage, add_prices, generated_and_odd, make
from tests.browser import Opened, chromium, drawn, opened
from tests.spark.conftest import SETTINGS

# To plan anew takes most of the time of queries this small.
SMALL = {"spark.sql.adaptive.enabled": "false", "spark.sql.shuffle.partitions": "1"}

Open = Callable[..., Opened]
At = Callable[[str], Page]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    warehouse = tmp_path_factory.mktemp("spark") / "warehouse"
    session = gb.local_session(warehouse=warehouse, master="local[2,2]", settings={**SETTINGS, **SMALL})
    yield session
    session.stop()


@pytest.fixture(scope="session")
def deployed(spark: SparkSession) -> tuple[Usage, str]:
    """A usage table, and what the command says that makes its views."""
    tables = generated_and_odd()
    folder = make(spark, "days.usage", tables)
    usage = Usage(spark, "days", "days.usage", folder, pa.concat_tables(tables))
    ran = CliRunner().invoke(app, ["views", "deploy", "--usage-table", usage.table, "--schema", usage.schema, "--json"])
    assert ran.exit_code == 0, ran.output
    add_prices(spark, usage.schema, OWN_PRICES)
    return usage, ran.stdout


@pytest.fixture(scope="session")
def usage(deployed: tuple[Usage, str]) -> Usage:
    return deployed[0]


@pytest.fixture(scope="session")
def cube(spark: SparkSession, usage: Usage) -> UsageCube:
    return read_cube(spark, usage.table, usage.schema)


@pytest.fixture(scope="session")
def file(usage: Usage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as the command writes it."""
    file = tmp_path_factory.mktemp("html") / "usage.html"
    command = ["dashboard", "--output", str(file), "--usage-table", usage.table, "--schema", usage.schema]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 0, ran.output
    assert "open it in a browser" in ran.stdout
    return file


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def show(browser: Browser, file: Path) -> Iterator[Open]:
    """Opens the page anew; whatever it complains about fails the test."""
    windows: list[Any] = []
    pages: list[Opened] = []

    def open_(address: str = "", **context: Any) -> Opened:
        window = opened(browser, file, address, **context)
        windows.append(window)
        pages.append(window.__enter__())
        return pages[-1]

    yield open_
    for window in windows:
        window.__exit__(None, None, None)
    assert [complaint for each in pages for complaint in each.complaints] == []


@pytest.fixture(scope="session")
def shared(browser: Browser, file: Path) -> Iterator[Opened]:
    with opened(browser, file) as page:
        yield page


@pytest.fixture
def at(shared: Opened) -> Iterator[At]:
    """Brings the one page that is open to what a link says; whatever it complains about fails the test."""

    def bring(address: str = "#") -> Page:
        shared.page.evaluate(
            "hash => { history.pushState(null, '', hash); usagePage.state.read(); usagePage.state.changed() }", address
        )
        drawn(shared.page)
        return shared.page

    yield bring
    complaints = shared.complaints.copy()
    shared.complaints.clear()
    assert complaints == []
