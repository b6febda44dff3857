"""Many drains of several processes that write one table at once: all rows there, once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.unit.samples import answered, open_writer, record

SPOOLS, ROWS_A_SPOOL, PROCESSES = 9, 300, 3
TABLE = "ai_gateway.usage"

DRAINS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import gateway_batch as gb
from gateway_batch.spark.ledger.drain import UsageDrain
warehouse, table, *spools = sys.argv[1:]
spark = gb.local_session(warehouse=warehouse, master="local[1]", settings={"spark.log.level": "ERROR"})
drains = [UsageDrain(spark, Path(spool), table) for spool in spools]
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(len(drains)) as threads:
    print(sum(threads.map(lambda drain: drain.flush(), drains)), flush=True)
spark.stop()
"""


def fill(spool: Path) -> None:
    """Three segments of answers, of a writer each."""
    for part in range(3):
        writer = open_writer(spool)
        for number in range(ROWS_A_SPOOL // 3):
            name = f"{spool.name}-{part}-{number}"
            writer.intend(record(name))
            writer.settle(answered(name))
        writer.close()


@pytest.mark.timeout(600)
def test_drains_of_several_processes_into_one_table_lose_and_double_nothing(
    spark: SparkSession, tmp_path: Path
) -> None:
    warehouse, shared = tmp_path / "warehouse", tmp_path / "shared"
    spools = [tmp_path / f"spool-{number}" for number in range(SPOOLS)]
    for spool in [*spools, shared]:
        fill(spool)
    running = []
    for number in range(PROCESSES):
        own = [str(spool) for spool in [*spools[number::PROCESSES], shared]]  # one folder is drained by all of them
        command = [sys.executable, "-c", DRAINS, str(warehouse), TABLE, *own]
        running.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        committed = [int(process.communicate(timeout=300)[0]) for process in running]
    finally:
        for process in running:
            process.kill()
    expected = ROWS_A_SPOOL * (SPOOLS + 1)
    assert sum(committed) == expected
    table = spark.read.format("delta").load(str(warehouse / "ai_gateway.db" / "usage"))
    assert table.count() == table.select("client_metadata.event_id").distinct().count() == expected
