"""What every runner of the cases has in common: the endpoints, and what is taken back after a case."""

from __future__ import annotations

import re
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


_MAKES = re.compile(
    r"(?:CREATE|DECLARE)(?: OR REPLACE)? (TABLE|VIEW|TEMPORARY VIEW|FUNCTION|TEMPORARY FUNCTION|VARIABLE) (\w+)"
)
_DROPPED_AS = {"TEMPORARY VIEW": "VIEW", "VARIABLE": "TEMPORARY VARIABLE"}
_NEEDS_NO_UNDOING = re.compile("INSERT|MERGE|UPDATE|SET VARIABLE")


def cleaned(spark: SparkSession, case: Case) -> Iterator[None]:
    """A fixture's body: after the test, what the case's set-up changed in the session is as it was."""
    undoing = [undo for statement in reversed(case.setup) if (undo := _undoing(statement))]
    yield
    for statement in undoing:
        spark.sql(statement)


def _undoing(statement: str) -> str | None:
    if made := _MAKES.match(statement):
        return f"DROP {_DROPPED_AS.get(made[1], made[1])} IF EXISTS {made[2]}"
    if statement.startswith("SET TIME ZONE"):
        return "RESET spark.sql.session.timeZone"
    if _NEEDS_NO_UNDOING.match(statement):
        return None
    raise ValueError(f"a set-up that nobody takes back: {statement}")
