"""A drain that dies at each of its steps: no record lost, none twice. tests/unit/test_crash_steps.py has the others."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from gateway_batch.spark.analytics.maintenance import maintain
from gateway_batch.spark.ledger.drain import UsageDrain
from gateway_batch.usage.spool import SpoolWriter, prepare, sealed_dir, sealed_segments
from tests.crashes import dies_before
from tests.unit.samples import answered, never, open_writer, record

TABLE = "crash_steps.usage"
OF_A_COMMIT = ("copyFromLocalFile", "startTransaction", "commit", "checkpoint")


class RunLedger:
    """The event ids that must each have one row, and the drain that is to bring them into the table."""

    def __init__(self, spark: SparkSession, folder: Path, table: str) -> None:
        self.spark = spark
        self.table = table
        self.spool, self.local = folder / "spool", folder / "local"
        self.expected: dict[str, str] = {}
        prepare(self.local)
        self.folders = [folder, Path(spark.conf.get("spark.sql.warehouse.dir").removeprefix("file:"))]  # type: ignore[union-attr]

    def drain(self) -> UsageDrain:
        return UsageDrain(self.spark, self.spool, self.table, self.local)

    def check(self, step: int) -> None:
        """Flushes as the next process would."""
        self.drain().flush()
        rows = self.spark.table(self.table).select("client_metadata.event_id", "client_metadata.outcome").collect()
        found = {row.event_id: row.outcome for row in rows}
        assert len(rows) == len(found), f"rows came twice after a death before step {step}"
        assert found == self.expected, f"after a death before step {step}"
        assert not sealed_segments(self.spool)


def fill(run_ledger: RunLedger, name: str) -> None:
    """Segments of writers that ended, one of version 0.1 and one with a damaged line, and what a dead writer left."""
    for part, table in (("a", None), ("b", run_ledger.table)):
        with closing(SpoolWriter(run_ledger.spool, never, table=table)) as writer:
            for number in range(3):
                event_id = f"{name}-{part}-{number}"
                writer.intend(record(event_id))
                writer.settle(answered(event_id))
                run_ledger.expected[event_id] = "answered"
    damaged = max(sealed_dir(run_ledger.spool).iterdir())
    content = damaged.read_bytes()
    lost = content.rindex(b'"event_id":"') + 12
    damaged.write_bytes(content[:-5] + b"\n")
    run_ledger.expected[content[lost:].partition(b'"')[0].decode()] = "unknown"
    if (pid := os.fork()) == 0:
        left = SpoolWriter(run_ledger.local, never, table=run_ledger.table)
        left.intend(record(f"{name}-left"))
        os._exit(0)
    os.waitpid(pid, 0)
    run_ledger.expected[f"{name}-left"] = "unknown"


@pytest.mark.timeout(900)
def test_a_drain_that_dies_before_any_step(spark: SparkSession, tmp_path: Path) -> None:
    """Adopting, shipping, the manifest, the data file, the commit, deleting."""
    run_ledger = RunLedger(spark, tmp_path, TABLE)
    for step in range(1, 200):
        fill(run_ledger, f"step-{step}")
        died = dies_before(step, run_ledger.folders, lambda: run_ledger.drain().flush(), OF_A_COMMIT)
        run_ledger.check(step)
        if not died:
            print(f"{step - 1} steps")
            assert step > 25
            return
    raise AssertionError("never got through")


@pytest.mark.timeout(900)
def test_a_drain_that_dies_at_any_step_of_a_table_that_spark_writes(spark: SparkSession, tmp_path: Path) -> None:
    """The first steps are those of any table: from the manifest on."""
    table = "crash_steps.by_spark"
    run_ledger = RunLedger(spark, tmp_path, table)
    run_ledger.drain().flush()
    spark.sql(f"ALTER TABLE {table} ADD CONSTRAINT seen CHECK (request_id IS NOT NULL)")
    for step in range(1, 200):
        with closing(open_writer(run_ledger.spool)) as writer:
            writer.intend(record(f"step-{step}"))
            writer.settle(answered(f"step-{step}"))
        run_ledger.expected[f"step-{step}"] = "answered"
        died = dies_before(step, run_ledger.folders, lambda: run_ledger.drain().flush(), ("saveAsTable",))
        run_ledger.check(step)
        if not died:
            print(f"{step - 1} steps")
            assert step > 6
            return
    raise AssertionError("never got through")


def test_the_same_drain_beside_maintenance_loses_nothing(spark: SparkSession, tmp_path: Path) -> None:
    run_ledger = RunLedger(spark, tmp_path, "crash_steps.maintained")
    for step in range(3):
        fill(run_ledger, f"step-{step}")
        run_ledger.check(step)
        maintain(spark, run_ledger.table)
    run_ledger.check(0)
