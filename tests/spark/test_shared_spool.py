"""A spool folder that several usage tables share, and in which lies what is not of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.engine import runtime
from gateway_batch.spark.ledger.drain import UsageDrain
from gateway_batch.usage.recovery import recover_dead_writers
from gateway_batch.usage.spool import SpoolWriter
from gateway_batch.usage.spool_backlog import SpoolBacklog
from tests.crashes import dies_before
from tests.spark.conftest import MODEL, Register, own_rows

QUERY = f"SELECT ai_query('{MODEL}', text_column) FROM my_table"


@pytest.fixture
def gateway(register_shared: Register) -> gb.Gateway:
    return register_shared()


@pytest.mark.usefixtures("texts")
def test_another_table_takes_up_where_the_one_before_ended(
    spark: SparkSession, gateway: gb.Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drain died after its commit; the next writes another table."""
    spark.sql(QUERY).collect()
    drain = UsageDrain(spark, gateway.usage.spool_dir, gateway.usage.table)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            drain.flush()
    other = UsageDrain(spark, gateway.usage.spool_dir, gateway.usage.table + "_other")
    assert other.flush() == 0
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "SpoolWriter", lambda folder, defer, table: SpoolWriter(folder, defer))
        with gb.Client(gateway.config) as client:
            client.query(MODEL, "another, recorded as by version 0.1")
    assert other.flush() == 1
    assert own_rows(gateway).count() == 40
    assert list((gateway.usage.spool_dir / "sealed").iterdir()) == []


def test_each_registration_of_a_spool_has_its_records_in_its_own_table(
    spark: SparkSession, register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drain of the one dies after its commit, while the other's records wait."""
    first, second = (register(f"ask_{team}", usage_table=f"two_teams.{team}") for team in "ab")
    for team, rows in (("a", 7), ("b", 5)):
        spark.range(0, rows, 1, 1).selectExpr(f"ask_{team}('{MODEL}', 'Lake ' || id)").collect()
    recover_dead_writers(first.usage.spool_dir)
    found = first.usage.waiting()
    assert {each.table: each.records for each in found.waiting} == {"two_teams.a": 7, "two_teams.b": 5}
    other = UsageDrain(spark, first.usage.spool_dir, "two_teams.c")
    assert other.flush() == 0
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            second.usage.flush()
    assert first.usage.flush() == 7
    assert [(each.table, each.records) for each in second.usage.waiting().waiting] == []
    assert second.usage.flush() == other.flush() == first.usage.flush() == 0
    for gateway, rows in ((first, 7), (second, 5)):
        assert spark.table(gateway.usage.table).count() == rows
    assert spark.table("two_teams.c").count() == 0
    assert sum(row.rows for row in spark.table("two_teams.ai_query_tasks").collect()) == 12
    assert first.usage.waiting() == SpoolBacklog()


@pytest.mark.usefixtures("texts")
def test_strangers_in_the_spool_and_a_damaged_manifest_neither_stop_a_flush_nor_cost_or_double_a_row(
    spark: SparkSession, gateway: gb.Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    drain_dir, sealed = gateway.usage.spool_dir / "drain", gateway.usage.spool_dir / "sealed"
    for stray in (drain_dir / "notes.txt", drain_dir / "id-0", sealed / "notes.txt"):
        stray.write_bytes(b"\xff")
    (drain_dir / "lock").unlink(missing_ok=True)
    folders = (drain_dir / "lock", drain_dir / "a `quoted` name", sealed / "h-1-0badcafe-000000.3.9.log")
    for folder in (drain_dir / "some.table", *folders):
        folder.mkdir()
        (folder / "0000000007-00000001.json").write_bytes(b"{}")
    spark.sql(QUERY).collect()
    assert dies_before(4, [], gateway.usage.flush, ("copyFromLocalFile", "commit"))
    for manifest in (drain_dir / gateway.usage.table.lower()).iterdir():
        manifest.write_bytes(b"{}")
    spark.sql(f"SELECT ai_query('{MODEL}', 'another')").collect()
    assert gateway.usage.flush() == 1
    assert "is damaged: " in caplog.text
    assert caplog.text.count(f"{drain_dir / 'notes.txt'} is not of the spool, or can't be read: left where it is") == 1
    assert own_rows(gateway).count() == 41
    assert gateway.usage.flush() == 0
    assert sorted(path.name for path in sealed.iterdir()) == ["h-1-0badcafe-000000.3.9.log", "notes.txt"]
    assert len(gateway.usage.waiting().strangers) == 6


@pytest.mark.usefixtures("texts")
def test_a_copy_that_comes_again_after_its_manifest_was_lost_is_counted_once(
    spark: SparkSession, gateway: gb.Gateway, tmp_path: Path
) -> None:
    """In the commit after the loss it is known by its manifest's absence, later by its rows alone."""
    spark.sql(QUERY).collect()
    sealed, kept = gateway.usage.spool_dir / "sealed", tmp_path / "kept"
    shutil.copytree(sealed, kept)
    assert gateway.usage.flush() == 40
    for manifest in (gateway.usage.spool_dir / "drain" / gateway.usage.table.lower()).iterdir():
        manifest.write_bytes(b"{}")
    spark.sql(f"SELECT ai_query('{MODEL}', 'another')").collect()
    assert gateway.usage.flush() == 1
    for segment in kept.iterdir():
        shutil.copy(segment, (sealed / segment.name).with_suffix(".copy"))
    spark.sql(f"SELECT ai_query('{MODEL}', 'a third')").collect()
    assert gateway.usage.flush() == 1
    assert own_rows(gateway).count() == 42
    assert list(sealed.iterdir()) == []
