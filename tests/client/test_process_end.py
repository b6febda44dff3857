"""However a process with a client ends, its exit code is its own and its records are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway_batch.devgateway import RunningGateway
from gateway_batch.usage.recovery import recover_dead_writers
from gateway_batch.usage.spool import sealed_dir
from tests.unit.samples import active_segments, sealed_rows
from tests.waiting import wait_until

from . import scripts
from .conftest import GatewayRecord, ours

TIMES = [2, pytest.param(8, marks=pytest.mark.nightly)]
"""pyreqwest's threads abort about one in six interpreters that end with its client open."""


@pytest.fixture(autouse=True, params=["pyreqwest", pytest.param("httpx", marks=pytest.mark.nightly)])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_BATCH_TRANSPORT", request.param)


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize(
    ("script", "code"),
    [(scripts.PLAIN, 0), (scripts.AWAITED, 0), (scripts.CLOSED, 0), (scripts.RAISES, 1), (scripts.EXITS, 3)],
    ids=["falls off the end", "asyncio.run", "closed", "raises", "sys.exit(3)"],
)
def test_a_process_ends_as_it_wants_to_and_its_records_are_sealed(
    server: RunningGateway, tmp_path: Path, gateway_record: GatewayRecord, script: str, code: int, times: int
) -> None:
    spools = [tmp_path / str(number) for number in range(times)]
    for process in [scripts.start(script, server, spool) for spool in spools]:
        found, _, errors = scripts.finish(process)
        assert found == code, errors
        assert errors == "" or code == 1
        assert "Fatal" not in errors
    found_rows = [sealed_rows(spool) for spool in spools]
    assert [len(rows) for rows in found_rows] == [40] * times
    assert ours([row for rows in found_rows for row in rows]) == gateway_record()


@pytest.mark.parametrize("times", TIMES)
def test_a_process_that_ends_with_calls_under_way_stops_and_records_them(
    server: RunningGateway, tmp_path: Path, times: int
) -> None:
    server.configure(faults=[{"match": "hang", "latency_ms": 4_000}])
    spools = [tmp_path / str(number) for number in range(times)]
    for process in [scripts.start(scripts.BUSY, server, spool) for spool in spools]:
        code, _, errors = scripts.finish(process)
        assert (code, errors) == (0, "")
    for spool in spools:
        kinds = [row["client_metadata"].get("error_kind") for row in sealed_rows(spool)]
        assert (kinds.count(None), kinds.count("cancelled"), len(kinds)) == (40, scripts.HANGING, 40 + scripts.HANGING)


def test_a_forked_process_ends_without_a_hang_and_takes_nothing_from_its_parent(
    server: RunningGateway, spool_dir: Path
) -> None:
    assert scripts.finish(scripts.start(scripts.FORKS, server, spool_dir)) == (0, "child 7\n", "")
    assert len(sealed_rows(spool_dir)) == 40


def test_a_killed_process_leaves_intents_that_become_unknown_rows(
    server: RunningGateway, spool_dir: Path, gateway_record: GatewayRecord
) -> None:
    server.configure(latency_ms=100)
    process = scripts.start("client.query_many('databricks-gpt-5-4', prompts * 500)", server, spool_dir)
    wait_until(lambda: answered(spool_dir) > 100)
    process.kill()
    code, _, _ = scripts.finish(process)
    assert code == -9
    server.configure(latency_ms=None)
    assert recover_dead_writers(spool_dir) == 1
    rows = sealed_rows(spool_dir)
    unknown = {row["client_metadata"]["event_id"] for row in rows if row["client_metadata"]["outcome"] == "unknown"}
    assert 0 < len(unknown) <= 64
    found = ours(rows)
    theirs = gateway_record()
    assert theirs.keys() <= found.keys(), "a request that the gateway saw has no row"
    assert {key: row for key, row in found.items() if key not in unknown} == {
        key: row for key, row in theirs.items() if key not in unknown
    }
    for key in unknown:
        assert (found[key]["status_code"], found[key]["total_tokens"]) == (None, None)


def answered(spool_dir: Path) -> int:
    """How many requests of a process at work have their answer on record; some are under way then."""
    try:
        paths = [*active_segments(spool_dir), *sealed_dir(spool_dir).iterdir()]
        return sum(path.read_bytes().count(b" O {") for path in paths)
    except FileNotFoundError:  # it has not begun, or seals just now
        return 0
