"""Requests for each distinct prompt, by the shape of the query, with the cache and without it in the same session."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession
from rich.console import Console

from benchmarks.children import Served, Server, running_server
from benchmarks.goals import Comparison, Figure, Goal
from benchmarks.latency import Latency
from benchmarks.load import MODEL
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.report import Report, Table, WrongRunError
from benchmarks.server import REFUSED_TEXT
from benchmarks.session import letters, register, run_to_nowhere, spark_session
from benchmarks.suite import Benchmark, Options

_TABLE = "letters"
_CACHED, _UNCACHED = "ai_query", "ai_query_uncached"
_GOAL = Goal("requests for each distinct prompt", Comparison.EXACTLY, 1.0, ".3f")
_QUIET_S = 0.3


@dataclass(frozen=True, slots=True)
class Place:
    """Where a shape runs.

    Attributes:
        spark: the session; it has a table `letters` of `id` and `text`.
        function: the SQL function to call.
        folder: empty.
        rows: of the table.
    """

    spark: SparkSession
    function: str
    folder: Path
    rows: int

    def call(self, text: str = "text", more: str = "") -> str:
        """SQL of a call."""
        return f"{self.function}('{MODEL}', {text}{more})"

    def answers(self) -> str:
        """SQL of a query for `id` and answer `a`."""
        return f"SELECT id, {self.call()} AS a FROM {_TABLE}"


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape of query.

    Attributes:
        name: as shown.
        run: runs it.
        all_distinct: whether each prompt of the table is sent; not where the query ends early.
    """

    name: str
    run: Callable[[Place], None]
    all_distinct: bool = True


@dataclass(frozen=True, slots=True)
class Paid:
    """What a shape sent."""

    requests: int
    distinct: int

    @property
    def each(self) -> float:
        """Requests for each distinct prompt."""
        return self.requests / self.distinct


def _sql(name: str, query: Callable[[Place], str]) -> Shape:
    return Shape(name, lambda place: run_to_nowhere(place.spark.sql(query(place))))


def _create_table_as(place: Place) -> None:
    place.spark.sql(f"CREATE OR REPLACE TABLE answered USING DELTA AS {place.answers()} ORDER BY a")


def _merge(place: Place) -> None:
    place.spark.sql(
        f"CREATE OR REPLACE TABLE merged USING DELTA AS SELECT id, text AS a FROM {_TABLE} WHERE id % 2 = 0"
    )
    place.spark.sql(
        f"MERGE INTO merged USING ({place.answers()}) AS new ON merged.id = new.id "
        "WHEN MATCHED THEN UPDATE SET a = new.a WHEN NOT MATCHED THEN INSERT *"
    )


def _each_batch(place: Place) -> None:
    source = place.folder / "source"
    place.spark.table(_TABLE).write.parquet(str(source))

    def two_actions(batch: DataFrame, number: int) -> None:
        batch.count()
        run_to_nowhere(batch)
        run_to_nowhere(batch.where("a IS NOT NULL"))

    rows = place.spark.readStream.schema("id LONG, text STRING").parquet(str(source))
    stream = rows.selectExpr("id", f"{place.call()} AS a").writeStream.foreachBatch(two_actions)
    stream.option("checkpointLocation", str(place.folder / "checkpoint")).trigger(availableNow=True)
    stream.start().awaitTermination()


def _opposite_order(place: Place) -> None:
    rows = place.spark.table(_TABLE).collect()
    twice = place.spark.createDataFrame(
        place.spark.sparkContext.parallelize([*rows, *reversed(rows)], 2), "id LONG, text STRING"
    )
    run_to_nowhere(twice.selectExpr(f"{place.call()} AS a"))


def _failing_row(place: Place) -> None:
    """The refused row is the 51st of the second task: among those in flight at first, so that it fails with others."""
    refused = f"concat(text, if(id = {place.rows // 2 + 50}, '{REFUSED_TEXT.decode()}', ''))"
    with suppress(PythonException):
        run_to_nowhere(place.spark.sql(f"SELECT {place.call(refused)} AS a FROM {_TABLE}"))
        raise WrongRunError("a query with a refused row did not fail")


SHAPES = [
    _sql("plain", lambda place: place.answers()),
    _sql("ORDER BY id", lambda place: f"{place.answers()} ORDER BY id"),
    _sql("ORDER BY the answer", lambda place: f"{place.answers()} ORDER BY a"),
    _sql("filter on the answer", lambda place: f"SELECT * FROM ({place.answers()}) WHERE a LIKE '%sorry%'"),
    _sql(
        "self-join",
        lambda place: f"WITH q AS ({place.answers()}) SELECT x.a, y.a FROM q AS x JOIN q AS y ON x.id = y.id + 1",
    ),
    _sql(
        "both fields of a result",
        lambda place: (
            "SELECT r.result, r.errorMessage "
            f"FROM (SELECT {place.call(more=', failOnError => false')} AS r FROM {_TABLE})"
        ),
    ),
    _sql("union with itself", lambda place: f"{place.answers()} UNION ALL {place.answers()}"),
    _sql(
        "window function",
        lambda place: f"SELECT a, row_number() OVER (PARTITION BY id % 7 ORDER BY a, id) AS n FROM ({place.answers()})",
    ),
    _sql(
        "CTE used twice",
        lambda place: f"WITH q AS ({place.answers()}) SELECT (SELECT count(a) FROM q), max(a) FROM q",
    ),
    _sql("repartition", lambda place: f"SELECT /*+ REPARTITION(5, a) */ * FROM ({place.answers()})"),
    Shape("CREATE TABLE AS, ORDER BY the answer", _create_table_as),
    Shape("MERGE", _merge),
    Shape("foreachBatch with three actions", _each_batch),
    Shape("the same rows twice, in opposite order, in two tasks", _opposite_order),
    Shape("one row always refused, four tries of its task", _failing_row, all_distinct=False),
]


def _measure(options: Options, console: Console) -> Report:
    machine = describe_machine()
    cached: dict[str, list[Paid]] = {}
    uncached: dict[str, Paid] = {}
    with _session(options.rows) as (spark, server):
        for shape in SHAPES:
            uncached[shape.name] = _pay(shape, spark, server, _UNCACHED, options.rows)
            cached[shape.name] = [_pay(shape, spark, server, _CACHED, options.rows) for _ in range(options.repeats)]
            console.print(f"{shape.name}: {', '.join(f'{paid.each:.3f}' for paid in cached[shape.name])}")
    worst = {name: max(paid.each for paid in runs) for name, runs in cached.items()}
    return Report(
        benchmark="pay_once",
        load=f"{options.rows:,} prompts in two partitions, no two the same; the worst of {options.repeats} runs.",
        table=Table(
            ["requests for each distinct prompt", "cache off", "ai_query"],
            [[name, f"{uncached[name].each:.3f}", f"{each:.3f}"] for name, each in worst.items()],
        ),
        figures=[Figure(replace(_GOAL, name=name), each) for name, each in worst.items()],
        machine=machine,
        versions=describe_versions(),
        notes=[
            "The control is one run of the same query in the same session with cache=off; it counts Spark's "
            "evaluations. Prompts are distinct if the bodies that the server saw are."
        ],
        measured={
            "cached": {name: [asdict(paid) for paid in runs] for name, runs in cached.items()},
            "uncached": {name: asdict(paid) for name, paid in uncached.items()},
        },
    )


@contextmanager
def _session(rows: int) -> Iterator[tuple[SparkSession, Server]]:
    with (
        running_server(Latency(5), inspect=True) as server,
        spark_session() as spark,
        register(spark, server, _CACHED),
        register(spark, server, _UNCACHED, cache="off"),
    ):
        # No cached table: Spark 4.2 can't join one of a range with itself (NoSuchElementException: key not found: id).
        letters(spark, rows).write.format("delta").saveAsTable(_TABLE)
        yield spark, server


def _pay(shape: Shape, spark: SparkSession, server: Server, function: str, rows: int) -> Paid:
    server.reset()
    with TemporaryDirectory() as folder:
        shape.run(Place(spark, function, Path(folder), rows))
    served = _served_in_the_end(server)
    if shape.all_distinct and served.distinct != rows:
        raise WrongRunError(f"{shape.name}: the server saw {served.distinct} distinct prompts of {rows}")
    return Paid(served.requests, served.distinct)


def _served_in_the_end(server: Server) -> Served:
    """The counters once nothing more arrives: a failed query's other tasks may run on for a moment."""
    before, now = None, server.served()
    while before is None or before.requests != now.requests:
        time.sleep(_QUIET_S)
        before, now = now, server.served()
    return now


BENCHMARKS = [
    Benchmark("pay_once", "requests by the shape of the query", _measure, Options(rows=1_000, repeats=3), 3),
]
