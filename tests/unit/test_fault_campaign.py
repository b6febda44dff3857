"""The parts of the fault campaign that decide: its plans, its ledger, which runs are still to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.faults.campaign import results, run_ledger
from tests.faults.campaign.clock import Clock
from tests.faults.campaign.faults import FAULTS
from tests.faults.campaign.plan import CLUSTER, KILL_WORKER, KINDS, LOCAL, NOBODY, OF_FILES, make_plan


def test_a_seed_is_always_the_same_run() -> None:
    assert make_plan(LOCAL, 7) == make_plan(LOCAL, 7)
    assert make_plan(LOCAL, 7) != make_plan(LOCAL, 8) != make_plan(CLUSTER, 8)


@pytest.mark.parametrize("where", KINDS)
def test_two_hundred_runs_have_every_fault_and_bounds(where: str) -> None:
    plans = [make_plan(where, seed) for seed in range(1, 201)]
    for kind in KINDS[where]:
        assert sum(kind in plan.kinds for plan in plans) >= 10, kind
    for plan in plans:
        assert 200 <= plan.rows <= 800
        assert 1 <= len(plan.faults) <= 4
        assert sum(fault.kind == KILL_WORKER for fault in plan.faults) < 4, "a task is tried four times"
        assert not (plan.kinds & OF_FILES and plan.flush_interval), "a file would be gone before it is taken"


def test_only_faults_that_are_asked_for_are_drawn() -> None:
    assert {kind for seed in range(50) for kind in make_plan(LOCAL, seed, {KILL_WORKER}).kinds} == {KILL_WORKER}


def test_every_kind_of_fault_can_be_done() -> None:
    assert {kind for of_place in KINDS.values() for kind in of_place} == set(FAULTS)


def found(classes: dict[str, str], **outcomes: str) -> run_ledger.RunLedger:
    return run_ledger.count(3, outcomes.items(), classes.items())


def test_a_ledger_that_reconciles_raises_no_complaint() -> None:
    counted = found({"b": "never_sent"}, a="answered", b="unknown", c="answered")
    assert (counted.rows, counted.distinct, counted.unknown) == (3, 3, 1)
    assert run_ledger.complaints(counted, most_unknown=1, may_cut_off=False) == []


@pytest.mark.parametrize("name", ["missing", "duplicated", "differing", "extra"])
def test_a_ledger_that_differs_raises_one(name: str) -> None:
    (complaint,) = run_ledger.complaints(found({"a": name}, a="answered"), most_unknown=9, may_cut_off=True)
    assert name in complaint


def test_more_unknown_outcomes_than_were_in_flight_are_wrong() -> None:
    counted = found({"a": "unknown_resolved", "b": "never_sent"}, a="unknown", b="unknown")
    assert len(run_ledger.complaints(counted, most_unknown=1, may_cut_off=False)) == 1
    assert run_ledger.complaints(counted, most_unknown=2, may_cut_off=False) == []


def test_requests_without_an_answer_are_wrong_where_nothing_was_cut_off() -> None:
    counted = found({"a": "unknown_resolved"}, a="no_answer")
    assert len(run_ledger.complaints(counted, most_unknown=0, may_cut_off=False)) == 1
    assert run_ledger.complaints(counted, most_unknown=0, may_cut_off=True) == []


def test_an_event_id_twice_is_wrong() -> None:
    counted = run_ledger.count(1, [("a", "answered"), ("a", "answered")], [])
    assert len(run_ledger.complaints(counted, most_unknown=0, may_cut_off=False)) == 1


def test_seeds_with_a_result_are_not_run_again_and_broken_runs_are(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "results.jsonl"
    for seed, verdict in ((1, "agree"), (2, "broken"), (3, "disagree"), (4, "broken"), (4, "agree")):
        results.append(path, {"where": LOCAL, "seed": seed, "verdict": verdict})
    results.append(path, {"where": CLUSTER, "seed": 5, "verdict": "agree"})
    path.write_text(path.read_text() + json.dumps({"where": LOCAL, "seed": 6})[:-4])  # killed as it wrote
    seeds = range(1, 7)
    kept = results.read(path, LOCAL, seeds)
    assert results.still_to_do(kept, seeds) == [2, 5, 6]
    assert [results.is_right(kept[seed]) for seed in (1, 2, 3, 4)] == [True, False, False, True]


def test_a_result_after_a_line_that_was_cut_off_is_read(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text('{"where": "local", "se')
    results.append(path, {"where": LOCAL, "seed": 1, "verdict": "agree"})
    assert results.still_to_do(results.read(path, LOCAL, [1]), [1]) == []


def test_the_summary_counts_runs_by_verdict_and_fault() -> None:
    faults = [{"kind": "kill_worker", "met": "killed"}, {"kind": "kill_drain", "met": NOBODY}]
    runs: list[results.Result] = [
        {"verdict": verdict, "seconds": 9.0, "sent": 100, "rows": 100, "kills": 1, "faults": faults, "classes": {}}
        for verdict in ("agree", "agree", "disagree")
    ]
    reported = results.summary(runs)
    assert "| kill_worker | 3 | 2 | 1 | 0 |" in reported
    assert "kill_drain" not in reported
    assert "300 sent, 300 rows, 3 kills" in reported


def test_a_process_of_the_clock_sees_it_jump(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    code = "import time; print(time.time(), flush=True); input(); time.sleep(0.05); print(time.time())"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, **clock.environment}
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        before = float(process.stdout.readline())
        clock.shift(-86_400)
        after, _ = process.communicate("\n")
    assert abs(before - time.time()) < 60
    assert abs(before - 86_400 - float(after)) < 60
