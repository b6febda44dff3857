"""What every runner of the cases has in common: the endpoints, and what is taken back after a case."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql import SparkSession

from tests.conformance.cases import Case


def endpoints(echo_server: str) -> dict[str, dict[str, str]]:
    """The setting `endpoints` that the cases count on."""
    return {
        "echo": {"base_url": echo_server},
        "raw": {"base_url": echo_server.replace("/v1", "/raw")},
        "system.ai.renamed": {"base_url": echo_server, "model": "main.default.mine"},
    }


def cleaned(spark: SparkSession, case: Case) -> Iterator[None]:
    """A fixture's body: after the test, what a case's set-up may change in a session is as it was."""
    if not case.setup:
        yield
        return
    before = {table.name for table in spark.catalog.listTables()}
    yield
    for setting in ("spark.sql.session.timeZone", "spark.sql.ansi.enabled"):
        spark.sql(f"RESET {setting}")
    for variable in ("chosen", "answered"):
        spark.sql(f"DROP TEMPORARY VARIABLE IF EXISTS {variable}")
    for kind in ("TEMPORARY FUNCTION", "FUNCTION"):
        spark.sql(f"DROP {kind} IF EXISTS greeting")
    for table in spark.catalog.listTables():
        if table.name not in before:
            spark.sql(f"DROP {'TABLE' if table.tableType == 'MANAGED' else 'VIEW'} IF EXISTS {table.name}")
