"""The short form of the ledger's fault campaign (`make faults` has the long one): a few seeds on the shared session."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.faults.campaign.places import place_of_session
from tests.faults.campaign.plan import (
    DELAYED_FILE,
    DRAINS_AT_ONCE,
    KILL_DRAIN,
    KILL_WORKER,
    LOCAL,
    STOP_WORKER,
    make_plan,
)
from tests.faults.campaign.run import run
from tests.faults.campaign.run_ledger import AGREE


@pytest.mark.parametrize(
    ("seed", "kinds"),
    [
        (604, {STOP_WORKER, KILL_DRAIN, DRAINS_AT_ONCE, DELAYED_FILE, KILL_WORKER}),
        pytest.param(1, {KILL_WORKER, KILL_DRAIN}, marks=pytest.mark.nightly),
        pytest.param(2, {DRAINS_AT_ONCE, STOP_WORKER}, marks=pytest.mark.nightly),
        pytest.param(3, {DELAYED_FILE, KILL_WORKER}, marks=pytest.mark.nightly),
    ],
)
def test_the_ledger_reconciles_whatever_dies(spark: SparkSession, tmp_path: Path, seed: int, kinds: set[str]) -> None:
    result = run(place_of_session(spark, tmp_path), make_plan(LOCAL, seed, kinds))
    assert result["verdict"] == AGREE, result
