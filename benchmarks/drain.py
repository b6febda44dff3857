"""How fast the records of a long run reach the usage table, and what the driver holds meanwhile."""

from __future__ import annotations

import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from pyspark.sql import SparkSession
from rich.console import Console

from benchmarks.goals import Comparison, Figure, Goal
from benchmarks.load import MODEL
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.report import Report, Table, WrongRunError
from benchmarks.session import spark_session
from benchmarks.suite import Benchmark, Options
from gateway_batch.spark.ledger.drain import UsageDrain
from gateway_batch.spark.ledger.usage_table import create_usage_table, record_type
from gateway_batch.types import HttpReply, InferenceResult, Service, TokenUsage
from gateway_batch.usage import attempts
from gateway_batch.usage.attempts import Caller
from gateway_batch.usage.segment import Kind, encode, header
from gateway_batch.usage.segment_names import SegmentName
from gateway_batch.usage.spool import prepare, sealed_dir, writer_name

_OURS, _THEIRS = "drained.usage", "read_by_spark.usage"
_ROWS_A_SEGMENT = 10_000  # as two workers at 2,500 rows a second each would seal every two seconds
_WARM_UP_ROWS = 20_000
_SMALL_PART = 5

_RATE = Goal("records drained a second", Comparison.AT_LEAST, 50_000, ",.0f")
_GROWTH = Goal("the driver's peak, after all over after a fifth of the records", Comparison.AT_MOST, 1.2, ".2f")


@dataclass(frozen=True, slots=True)
class _Drained:
    rows: int
    seconds: float
    cpu_s: float
    peak_mb: float


def _measure(options: Options, console: Console) -> Report:
    machine = describe_machine()
    ours: list[_Drained] = []
    theirs: list[float] = []
    with spark_session() as spark, tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        create_usage_table(spark, _THEIRS)
        drain = UsageDrain(spark, Path(folder) / "spool", _OURS)
        _drain(spark, drain, Path(folder), _WARM_UP_ROWS)
        _read_by_spark(spark, Path(folder), _WARM_UP_ROWS)
        small = _drain(spark, drain, Path(folder), options.rows // _SMALL_PART)
        for repeat in range(1, options.repeats + 1):
            ours.append(_drain(spark, drain, Path(folder), options.rows))
            theirs.append(_read_by_spark(spark, Path(folder), options.rows))
            console.print(
                f"{repeat} of {options.repeats}: {options.rows / ours[-1].seconds:,.0f} a second, by a Spark job "
                f"{options.rows / theirs[-1]:,.0f}"
            )
    seconds, control_s = median(run.seconds for run in ours), median(theirs)
    cpu_s = median(run.cpu_s for run in ours)
    return Report(
        benchmark="drain",
        load=f"{options.rows:,} records in segments of {_ROWS_A_SEGMENT:,}, a warm session; {options.repeats} runs of "
        "each side in turns, medians.",
        table=Table(
            ["", "a Spark job", "the drain"],
            [
                ["records a second", f"{options.rows / control_s:,.0f}", f"{options.rows / seconds:,.0f}"],
                ["of the Spark job", "", f"{control_s / seconds:.0%}"],
                ["CPU us a record, driver's Python", "", f"{cpu_s / options.rows * 1e6:.1f}"],
                ["peak of the driver's Python, MB", "", f"{ours[0].peak_mb:,.0f}"],
            ],
        ),
        figures=[Figure(_RATE, options.rows / seconds), Figure(_GROWTH, ours[0].peak_mb / small.peak_mb)],
        machine=machine,
        versions=describe_versions(),
        notes=[
            "The Spark job reads the same records as JSON and appends them to a table of the same columns. It takes "
            "the cores that queries need, checks no line, and commits nothing twice only if it never fails.",
            "The peak is that of the process so far, filling the spool included.",
        ],
        measured={"ours": [asdict(run) for run in ours], "spark_job_s": theirs, "a fifth": asdict(small)},
    )


def _drain(spark: SparkSession, drain: UsageDrain, folder: Path, rows: int) -> _Drained:
    spool_dir = folder / "spool"
    prepare(spool_dir)
    writer = writer_name()
    for number, lines in enumerate(_lines(rows)):
        segment = header(writer) + b"".join(lines)
        name = SegmentName(writer, f"{number:06d}", len(lines), len(segment))
        (sealed_dir(spool_dir) / str(name)).write_bytes(segment)
    started, cpu = time.perf_counter(), time.process_time()
    committed = drain.flush()
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    if committed != rows:
        raise WrongRunError(f"{committed} records were committed of {rows}")
    return _Drained(rows, seconds, cpu_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


def _read_by_spark(spark: SparkSession, folder: Path, rows: int) -> float:
    """Seconds of the control."""
    exported = folder / "exported"
    exported.mkdir()
    for number, lines in enumerate(_lines(rows)):
        (exported / f"{number:06d}.json").write_bytes(b"".join(line[11:] for line in lines))
    started = time.perf_counter()
    spark.read.schema(record_type(spark)).json(str(exported)).write.format("delta").mode("append").saveAsTable(_THEIRS)
    seconds = time.perf_counter() - started
    shutil.rmtree(exported)
    return seconds


def _lines(rows: int) -> Iterator[list[bytes]]:
    """Outcome lines as a worker writes them, in parts of a segment each."""
    service = Service(MODEL, "mlflow/v1/chat/completions", "http://127.0.0.1/ai-gateway", MODEL, "value:token")
    caller = Caller("AI_QUERY", "benchmarks", requester="ana@example.com", application_id="local-1", stage_id=0)
    reply = HttpReply(200, {"content-type": "application/json"}, b"{}")
    result = InferenceResult("answer", TokenUsage(90, 48, 138), MODEL)
    intents = attempts.Intents()

    def line(now: float) -> bytes:
        event_id = attempts.new_event_id()
        record = intents.record(caller, service, {"team": "search"}, event_id=event_id, attempt=1, now=now)
        attempts.note_reply(record, reply, 50)
        attempts.note_result(record, result)
        return encode(Kind.OUTCOME, record)

    now = time.time()
    for start in range(0, rows, _ROWS_A_SEGMENT):
        yield [line(now + number / 1_000) for number in range(start, min(start + _ROWS_A_SEGMENT, rows))]


BENCHMARKS = [
    Benchmark("drain", "records from the spool to the usage table", _measure, Options(rows=1_000_000, repeats=3), 6),
]
