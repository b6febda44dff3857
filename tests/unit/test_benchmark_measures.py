"""The pure parts that benchmarks measure with."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import islice

import pytest

from benchmarks.bucket import TokenBucket
from benchmarks.latency import Latency
from benchmarks.load import Load, body, prompt
from benchmarks.processes import is_spark_python, memory_of, parse_process, parse_sizes, tree
from benchmarks.rate_limit import Used, used
from benchmarks.sampling import CpuClock

HEAVY = Latency(80, sigma=1.2, cap_ms=5_000)


def test_the_same_seed_gives_the_same_waits() -> None:
    assert HEAVY.waits_s() == Latency(80, sigma=1.2, cap_ms=5_000).waits_s()
    assert HEAVY.waits_s() != Latency(80, sigma=1.2, cap_ms=5_000, seed=2).waits_s()


def test_heavy_tailed_waits_have_their_median_and_stay_under_the_cap() -> None:
    waits = sorted(HEAVY.waits_s())
    assert waits[len(waits) // 2] == pytest.approx(0.080, rel=0.03)
    assert waits[-1] == 5.0
    assert HEAVY.mean_s(len(waits)) == pytest.approx(0.080 * 2.718 ** (1.2**2 / 2), rel=0.05)


def test_the_mean_is_of_the_waits_that_are_used() -> None:
    waits = list(islice(HEAVY.waits_s(), 100))
    assert HEAVY.mean_s(100) == pytest.approx(sum(waits) / 100)
    assert HEAVY.mean_s(2 * len(HEAVY.waits_s())) == pytest.approx(HEAVY.mean_s(len(HEAVY.waits_s())))


def test_a_load_is_limited_by_what_is_in_flight_over_the_mean_latency() -> None:
    assert Load(100, 64, Latency(50)).limit == pytest.approx(1_280)
    assert Load(100, 64, HEAVY).limit == pytest.approx(64 / HEAVY.mean_s(100))


def test_prompts_differ_and_bodies_hold_them() -> None:
    assert len({prompt(number) for number in range(1_000)}) == 1_000
    assert prompt(7).encode() in body(7)


def test_a_bucket_lets_its_burst_through_and_then_its_rate() -> None:
    bucket = TokenBucket(50, 50)
    assert [bucket.take(10.0) for _ in range(50)] == [0] * 50
    assert bucket.take(10.0) == 1
    assert bucket.take(10.03) == 0
    assert bucket.take(10.03) == 1
    assert [bucket.take(12.0) for _ in range(50)] == [0] * 50
    assert bucket.take(12.0) == 1
    assert (bucket.passed, bucket.refused) == ([51, 0, 50], [2, 0, 1])


def test_a_bucket_names_whole_seconds_after_which_a_request_is_let_through() -> None:
    bucket = TokenBucket(0.4, 1)
    assert bucket.take(0.0) == 0
    wait_s = bucket.take(0.0)
    assert wait_s == 3
    assert bucket.take(float(wait_s)) == 0


def test_a_process_is_read_whatever_its_command_is_called() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    fields = f"S 7 {'0 ' * 9}{ticks} {2 * ticks} 0 0 0 0 0 0 4711 0"
    process = parse_process(42, f"42 (a ) b) {fields}".encode())
    assert (process.pid, process.parent, process.born, process.cpu_s) == (42, 7, 4711, 3.0)


def test_sizes_are_read_in_bytes() -> None:
    assert parse_sizes("Name:\tpython\nVmHWM:\t    2 kB\nThreads:\t3\n") == {"VmHWM": 2048}


@pytest.mark.parametrize("module", ["pyspark.daemon", "gateway_batch.spark.worker.worker_daemon", "json.tool"])
def test_spark_s_workers_are_known_by_the_module_of_their_daemon(module: str) -> None:
    waits = [sys.executable, "-c", "print(flush=True); input()", "-m", module]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = is_spark_python(process.pid)
        process.communicate(b"\n")
    assert found is (module != "json.tool")


def test_a_tree_begins_with_its_root_and_leaves_processes_out() -> None:
    root = os.getpid()
    assert next(tree(root)).pid == root
    assert list(tree(root, frozenset({root}))) == []


def test_the_memory_of_this_process_is_known_and_of_one_that_ended_it_is_not() -> None:
    held = memory_of(os.getpid())
    assert held is not None
    assert held.peak >= held.resident > 0
    assert memory_of(2**22 + 1) is None


def test_the_clock_counts_this_process() -> None:
    with CpuClock() as cpu:
        until = time.process_time() + 0.3
        while time.process_time() < until:
            pass
    assert cpu.tree_s == pytest.approx(0.3, abs=0.1)
    assert cpu.workers_s == 0.0


def test_the_limit_is_used_as_much_as_passed_after_the_warm_up_of_what_could_have() -> None:
    passed, refused = [50, 10, 50, 40, 99], [30, 0, 10, 0, 99]
    found = used(passed, refused, rate=50, warm_up_s=2, seconds=4)
    assert found == Used(share=90 / 100, refused=40 / 190, refused_later=10 / 100)


def test_a_run_that_ended_early_used_less() -> None:
    assert used([50, 50], [0, 0], rate=50, warm_up_s=1, seconds=3) == Used(0.5, 0.0, 0.0)
