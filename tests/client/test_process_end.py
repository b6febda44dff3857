"""However a process with a client ends, its exit code is its own and its records are there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway_batch.devgateway import RunningGateway
from gateway_batch.usage.adoption import adopt_dead_writers
from gateway_batch.usage.spool import sealed_dir
from tests.unit.samples import active_segments, sealed_rows

from . import scripts
from .conftest import Books, ours

TIMES = 5
"""pyreqwest's threads abort about one in six interpreters that end with its client open."""


@pytest.mark.parametrize(
    ("script", "code"),
    [(scripts.PLAIN, 0), (scripts.AWAITED, 0), (scripts.CLOSED, 0), (scripts.RAISES, 1), (scripts.EXITS, 3)],
    ids=["falls off the end", "asyncio.run", "closed", "raises", "sys.exit(3)"],
)
def test_a_process_ends_as_it_wants_to_and_its_records_are_sealed(
    server: RunningGateway, tmp_path: Path, books: Books, script: str, code: int
) -> None:
    for number in range(TIMES):
        found, _, errors = scripts.finish(scripts.start(script, server, tmp_path / str(number)))
        assert found == code, errors
        assert errors == "" or code == 1
        assert "Fatal" not in errors
        assert len(sealed_rows(tmp_path / str(number))) == 40
    rows = [row for number in range(TIMES) for row in sealed_rows(tmp_path / str(number))]
    assert ours(rows) == books()


def test_a_process_that_ends_with_calls_under_way_stops_and_records_them(
    server: RunningGateway, tmp_path: Path
) -> None:
    server.configure(faults=[{"match": "hang", "latency_ms": 4_000}])
    for number in range(TIMES):
        code, _, errors = scripts.finish(scripts.start(scripts.BUSY, server, tmp_path / str(number)))
        assert (code, errors) == (0, "")
        kinds = [row["client_metadata"].get("error_kind") for row in sealed_rows(tmp_path / str(number))]
        assert (kinds.count(None), kinds.count("cancelled"), len(kinds)) == (40, 10, 50)


def test_a_forked_process_ends_without_a_hang_and_takes_nothing_from_its_parent(
    server: RunningGateway, spool_dir: Path
) -> None:
    assert scripts.finish(scripts.start(scripts.FORKS, server, spool_dir)) == (0, "child 7\n", "")
    assert len(sealed_rows(spool_dir)) == 40


def test_a_killed_process_leaves_intents_that_become_unknown_rows(
    server: RunningGateway, spool_dir: Path, books: Books
) -> None:
    server.configure(latency_ms=100)
    process = scripts.start("client.query_many('databricks-gpt-5-4', prompts * 50)", server, spool_dir)
    _wait_until_busy(spool_dir)
    process.kill()
    code, _, _ = scripts.finish(process)
    assert code == -9
    server.configure(latency_ms=None)
    assert adopt_dead_writers(spool_dir) == 1
    rows = sealed_rows(spool_dir)
    unknown = {row["client_metadata"]["event_id"] for row in rows if row["client_metadata"]["outcome"] == "unknown"}
    assert 0 < len(unknown) <= 64
    found = ours(rows)
    theirs = books()
    assert theirs.keys() <= found.keys(), "a request that the gateway saw has no row"
    assert {key: row for key, row in found.items() if key not in unknown} == {
        key: row for key, row in theirs.items() if key not in unknown
    }
    for key in unknown:
        assert (found[key]["status_code"], found[key]["total_tokens"]) == (None, None)


def _wait_until_busy(spool_dir: Path) -> None:
    """Some answered, some under way."""
    for _ in range(600):
        answered = sum(path.read_bytes().count(b" O {") for path in active_segments(spool_dir))
        if answered > 100 and not list(sealed_dir(spool_dir).iterdir()):
            return
        time.sleep(0.02)
    raise AssertionError("the process sends nothing")
