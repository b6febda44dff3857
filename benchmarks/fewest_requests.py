"""What queries send, of the fewest that any plan could do with, with the optimizer rules and without; their time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from pyspark.sql import SparkSession
from rich.console import Console

from benchmarks.children import Server, running_server
from benchmarks.goals import Comparison, Figure, Goal
from benchmarks.latency import Latency
from benchmarks.load import MODEL
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.query_shapes import CALL, SHAPES, TABLES
from benchmarks.report import Report, Table
from benchmarks.session import register, spark_session
from benchmarks.suite import Benchmark, Options

_RULES = "spark.gateway_batch.optimizer"
_LATENCY = Latency(50)
_MOST = Goal("requests of the fewest, at the worst shape", Comparison.AT_MOST, 1.05, ".2f")
_PLANNING = Goal("planning time of a query without calls, rules on to off", Comparison.AT_MOST, 1.1, ".2f")
_JOIN = "a filter on answers next to a join"
_PLANNED = 30
_NO_CALL = "SELECT a.id, max(a.text) FROM a JOIN b ON a.id = b.id WHERE a.even OR a.known = 'x' GROUP BY a.id"


@dataclass(frozen=True, slots=True)
class Sent:
    """What a shape took with the rules on or off."""

    requests: int
    seconds: float


def _measure(options: Options, console: Console) -> Report:
    machine = describe_machine()
    sent: dict[str, dict[str, Sent]] = {}
    planning: dict[str, dict[str, float]] = {}
    with running_server(_LATENCY) as server, spark_session() as spark, register(spark, server):
        for name, sql in TABLES.items():
            spark.sql(sql).localCheckpoint().createOrReplaceTempView(name)
        _sent(spark, server, _of_model(SHAPES[_JOIN][0]), "false")  # the first query of a session costs more
        for name, (sql, fewest) in SHAPES.items():
            query = _of_model(sql)
            sent[name] = {rules: _sent(spark, server, query, rules) for rules in ("true", "false")}
            on, off = sent[name]["true"], sent[name]["false"]
            console.print(
                f"{name}: {on.requests} and {off.requests} of {fewest}, {on.seconds:.1f} and {off.seconds:.1f} s"
            )
        for name, sql in {"without calls": _NO_CALL, _JOIN: _of_model(SHAPES[_JOIN][0])}.items():
            planning[name] = _planning(spark, sql)
    worst = max(sent[name]["true"].requests / max(1, fewest) for name, (_, fewest) in SHAPES.items())
    without = planning["without calls"]
    return Report(
        benchmark="fewest_requests",
        load=f"{len(SHAPES)} shapes over 1,000 rows, of which 20 meet one of another table; {_LATENCY.median_ms:g} ms.",
        table=Table(
            ["", "fewest", "sent", "rules off", "seconds", "rules off"],
            [
                [
                    name,
                    str(fewest),
                    str(sent[name]["true"].requests),
                    str(sent[name]["false"].requests),
                    f"{sent[name]['true'].seconds:.2f}",
                    f"{sent[name]['false'].seconds:.2f}",
                ]
                for name, (_, fewest) in SHAPES.items()
            ],
        ),
        figures=[Figure(_MOST, worst), Figure(_PLANNING, without["true"] / without["false"])],
        machine=machine,
        versions=describe_versions(),
        notes=[
            f"Planning takes {times['true']:.1f} ms with the rules and {times['false']:.1f} without ({name})."
            for name, times in planning.items()
        ],
        measured={name: {rules: asdict(each) for rules, each in found.items()} for name, found in sent.items()},
    )


def _of_model(sql: str) -> str:
    return sql.replace(CALL.split(",")[0], f"ai_query('{MODEL}'")


def _sent(spark: SparkSession, server: Server, query: str, rules: str) -> Sent:
    spark.conf.set(_RULES, rules)
    server.reset()
    began = time.perf_counter()
    spark.sql(query).collect()
    return Sent(server.served().requests, time.perf_counter() - began)


def _planning(spark: SparkSession, query: str) -> dict[str, float]:
    """Milliseconds to an optimized plan, with the rules on and off, in turns."""
    times: dict[str, list[float]] = {"true": [], "false": []}
    for _ in range(_PLANNED):
        for rules, taken in times.items():
            spark.conf.set(_RULES, rules)
            taken.append(_timed(spark.sql(query)._jdf.queryExecution().optimizedPlan))
    return {rules: 1_000 * median(taken) for rules, taken in times.items()}


def _timed(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


BENCHMARKS = [Benchmark("fewest_requests", "requests of the fewest, by shape of query", _measure, Options(), 4)]
