"""The commands of the bundle's jobs, with their own words, one after the other in the session of a job.

The table that the dashboard is of is the bundle's default, `system.ai_gateway.usage`: here that names ours.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway_batch.devgateway import Settings, running
from tests.e2e.conftest import REVIEWS, session
from tests.unit.command import command
from tests.unit.test_bundle import COMMANDS, VARIABLES, filled

pytestmark = pytest.mark.timeout(1800)


def test_the_jobs_commands_run_in_their_order(place: Path) -> None:
    (place / "reviews.csv").write_text(REVIEWS)
    given = {
        "catalog": "spark_catalog",
        "source": "reviews.csv",
        "key": "title",
        "prompt": "Summarize: {review}",
        "spool_dir": str(place / "spool"),
    }
    session()
    with running(Settings(port=0, token="t0ken", ledger=place / "ledger.sqlite")) as server:
        environment = {
            name: filled(value, **given) for variables in VARIABLES.values() for name, value in variables.items()
        } | {"DATABRICKS_HOST": server.host, "DATABRICKS_TOKEN": "t0ken"}
        said = {}
        for key in ("score_table.score", "usage_ledger.flush", "usage_ledger.maintain",
                    "usage_dashboard.refresh_aggregate"):  # fmt: skip
            words = [filled(word, **given) for word in COMMANDS[key]["parameters"]]
            done = command(*words, **environment)
            assert done.returncode == 0, (key, done.stderr)
            said[key] = done.stdout
        assert server.stats()["requests"] == 3
    assert set(said) == set(COMMANDS)
    assert "spark_catalog.ai_gateway.answers: 3 of 3 rows" in said["score_table.score"]
    assert said["usage_ledger.flush"] == "0 records committed to spark_catalog.ai_gateway.usage\n", "the job did it"
    assert "spark_catalog.ai_gateway.usage: " in said["usage_ledger.maintain"]
    assert "0 records deleted" in said["usage_ledger.maintain"]
    assert said["usage_dashboard.refresh_aggregate"].startswith("spark_catalog.ai_gateway: ")
