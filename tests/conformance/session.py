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
    before = _names(spark, "TABLES")
    yield
    for setting in ("spark.sql.session.timeZone", "spark.sql.ansi.enabled"):
        spark.sql(f"RESET {setting}")
    for variable in ("chosen", "answered"):
        spark.sql(f"DROP TEMPORARY VARIABLE IF EXISTS {variable}")
    for kind in ("TEMPORARY FUNCTION", "FUNCTION"):
        spark.sql(f"DROP {kind} IF EXISTS greeting")
    views = _names(spark, "VIEWS")
    for name in _names(spark, "TABLES") - before:
        spark.sql(f"DROP {'VIEW' if name in views else 'TABLE'} IF EXISTS {name}")


def _names(spark: SparkSession, kind: str) -> set[str]:
    return {row[1] for row in spark.sql(f"SHOW {kind}").collect()}  # with those of the session, which are views
