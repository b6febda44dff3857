"""Drivers that are killed while they make the tables of an empty warehouse: the next driver's flush finds a way.

`python -m tests.faults.first_flush --runs 100` prints a line for each run and the counts. In each a driver of its own
flushes a spool folder for the first time, and is killed with its JVM as its n-th file or folder appears or goes; in
every fifth a second driver flushes the same at the same time and must come through. Then another driver flushes.
Exit code 0: no record was missing or doubled, and no flush failed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.spark.gateway import Usage
from tests.faults.campaign.processes import kill_tree
from tests.quick_start import SMALL_TABLES, quick_driver
from tests.unit.samples import answered, open_writer, record

TABLE = "ledger.usage"
SETTINGS = {"spark.log.level": "OFF", "spark.ui.showConsoleProgress": "false", **SMALL_TABLES}
ROWS = 20
_TWO_DRIVERS_IN = 5
_MOST_S = 120.0

DRIVER = f"""
import sys
from pathlib import Path
import gateway_batch as gb
from gateway_batch.spark.gateway import Usage
warehouse, spool = sys.argv[1:]
spark = gb.local_session(warehouse=warehouse, master="local[1]", settings={SETTINGS!r})
print("ready", flush=True)
sys.stdin.readline()
Usage(spark, {TABLE!r}, Path(spool)).flush()
print("done", flush=True)
"""


@dataclass
class Driver:
    """One that is ready to flush, with a warehouse and a spool folder."""

    folder: Path
    process: subprocess.Popen[str]

    @classmethod
    def start(cls, folder: Path) -> Driver:
        command = [sys.executable, "-c", DRIVER, str(folder / "warehouse"), str(folder / "spool")]
        environment = {**os.environ, "SPARK_SUBMIT_OPTS": quick_driver()}
        return cls(
            folder,
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                env=environment,
            ),
        )  # fmt: skip

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def flush(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def outcome(self) -> str:
        """What it said in the end, when it has ended."""
        said, _ = self.process.communicate(timeout=_MOST_S)
        return "done" if said == "done\n" else f"ended with {self.process.returncode}"


@dataclass
class Changes:
    """Counts what appears below a folder and what goes."""

    folder: Path
    seen: set[str] = field(default_factory=set)
    count: int = 0

    def look(self) -> int:
        found = {path for path, _, _ in os.walk(self.folder)}
        found |= {os.path.join(path, name) for path, _, names in os.walk(self.folder) for name in names}
        self.count += len(found ^ self.seen)
        self.seen = found
        return self.count


def fill(spool: Path) -> set[str]:
    """Writes records into a spool folder; returns their event ids."""
    with closing(open_writer(spool)) as writer:
        for number in range(ROWS):
            writer.intend(record(f"event-{number}"))
            writer.settle(answered(f"event-{number}"))
    return {f"event-{number}" for number in range(ROWS)}


def kill_at(driver: Driver, change: int | None) -> tuple[int, str]:
    """Lets a driver flush, and kills it at a change of the tables' folders; how many there were, and what became."""
    changes, until = Changes(driver.folder / "warehouse" / "ledger.db"), time.monotonic() + _MOST_S
    driver.flush()
    while driver.process.poll() is None and time.monotonic() < until:
        if changes.look() >= (change or sys.maxsize):
            kill_tree(driver.process.pid)
            driver.process.wait()
            return changes.count, f"killed at {changes.count}"
    return changes.look(), driver.outcome()


def what_is_wrong(spark: SparkSession, folder: Path, expected: set[str]) -> list[str]:
    """Flushes from the session of this process, which knows nothing of the tables, and looks at the rows."""
    spark.sql("DROP SCHEMA IF EXISTS ledger CASCADE")
    spark.sql(f"CREATE SCHEMA ledger LOCATION '{folder / 'warehouse' / 'ledger.db'}'")
    try:
        for _ in range(2):
            Usage(spark, TABLE, folder / "spool").flush()
        rows = spark.table(TABLE).select("client_metadata.event_id").collect()
        spark.table("ledger.ai_query_runs").collect()
    except Exception as error:
        return [f"stuck: {str(error).splitlines()[0][:300]}"]
    found = Counter(row.event_id for row in rows)
    missing, doubled = len(expected - set(found)), sum(count > 1 for count in found.values())
    return [f"{count} {name}" for name, count in (("missing", missing), ("doubled", doubled)) if count]


@dataclass
class Prepared:
    """A run that can begin: its spool folder is filled, its drivers are starting."""

    folder: Path
    expected: set[str]
    drivers: list[Driver]

    @classmethod
    def start(cls, folder: Path, count: int) -> Prepared:
        return cls(folder, fill(folder / "spool"), [Driver.start(folder) for _ in range(count)])

    def end(self) -> None:
        for driver in self.drivers:
            kill_tree(driver.process.pid)
            driver.process.wait()


def run(spark: SparkSession, prepared: Prepared, change: int | None) -> tuple[int, str, list[str]]:
    """One run: changes seen, what became of the first driver, and what was wrong."""
    for driver in prepared.drivers:
        driver.wait_until_ready()
    first, *others = prepared.drivers
    for other in others:
        other.flush()
    changes, became = kill_at(first, change)
    outcomes = [other.outcome() for other in others]
    wrong = [f"the other driver {outcome}" for outcome in outcomes if outcome != "done"]
    if change is None and became != "done":
        wrong.append(became)
    return changes, became, wrong + what_is_wrong(spark, prepared.folder, prepared.expected)


def prepared_runs(scratch: Path, runs: int) -> Generator[tuple[int, Prepared], None, None]:
    """Runs with their numbers; the drivers of the next one start while a run is under way."""

    def prepare(number: int) -> Prepared:
        return Prepared.start(scratch / f"run-{number}", 2 if number and number % _TWO_DRIVERS_IN == 0 else 1)

    waiting = [prepare(0)]
    try:
        for number in range(runs):
            if number + 1 < runs:
                waiting.append(prepare(number + 1))
            yield number, waiting[0]
            waiting.pop(0).end()
    finally:
        for each in waiting:
            each.end()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.first_flush", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100, help="how many (100)")
    options = parser.parse_args()
    os.environ.setdefault("SPARK_SUBMIT_OPTS", quick_driver())
    rng, faulty, most = random.Random(22), 0, 0
    with tempfile.TemporaryDirectory(prefix="gateway_batch_first-") as scratch:
        spark = gb.local_session(warehouse=Path(scratch) / "next", master="local[1]", settings=SETTINGS)
        with closing(prepared_runs(Path(scratch), options.runs)) as runs:
            for number, prepared in runs:
                began = time.monotonic()
                change = rng.randint(1, most) if most else None
                changes, became, wrong = run(spark, prepared, change)
                most = most or changes
                faulty += bool(wrong)
                said, took = "; ".join(wrong) or "right", time.monotonic() - began
                print(f"{number:>4}  {len(prepared.drivers)} drivers, {became}: {said} ({took:.1f} s)", flush=True)
                spark.sql("DROP SCHEMA IF EXISTS ledger CASCADE")
                shutil.rmtree(prepared.folder, ignore_errors=True)
        spark.stop()
    print(f"{options.runs - faulty} of {options.runs} passed: none missing, none doubled, none stuck")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
