"""What a batch job would send and cost, before it does: counted, and if wanted extrapolated from a sample.

Without a sample nothing is sent: requests and their input tokens are counted, the output is an assumption. A sample is
a run of the job over some requests chosen by their hashes; its answers stay in the output, so nobody pays them twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from gateway_batch.apis import task_of
from gateway_batch.config import GatewayConfig, resolve_service
from gateway_batch.errors import ConfigError
from gateway_batch.jobs.extrapolate import Interval, total_of_rest
from gateway_batch.jobs.plan import pending_sql
from gateway_batch.jobs.run import CHUNK_ROWS, BatchJob, run_batch
from gateway_batch.jobs.source import as_view, check_keys, read_source
from gateway_batch.pricing import list_price
from gateway_batch.spark.messages import first_line
from gateway_batch.spark.usage_table import quoted
from gateway_batch.tokens import PER_IMAGE, PER_MESSAGE, count_tokens
from gateway_batch.types import Price, Service, Task, TokenUsage

OUTPUT_TOKENS = 200
"""Of an answer, where neither the job nor a sample says more."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job would send from now on, and what it would take; a sample's requests are in it.

    Attributes:
        rows: to be answered.
        requests: of these that differ: each is sent once.
        input_tokens: of the requests, counted by the o200k vocabulary; with a sample, as the service reports them.
        output_tokens: of the answers.
        cost_usd: of both; None where no price is known, or the model has no tokens.
        seconds: at the configured limits; None where nothing says how long a request takes.
        sampled: requests that were sent for it.
        assumptions: what it rests on, a sentence each.
    """

    rows: int
    requests: int
    input_tokens: Interval
    output_tokens: Interval
    cost_usd: Interval | None
    seconds: float | None
    sampled: int
    assumptions: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The estimate as JSON has it."""
        return {
            "rows": self.rows,
            "requests": self.requests,
            "sampled": self.sampled,
            "input_tokens": _json(self.input_tokens),
            "output_tokens": _json(self.output_tokens),
            "cost_usd": None if self.cost_usd is None else _json(self.cost_usd),
            "seconds": self.seconds,
            "assumptions": list(self.assumptions),
        }


@dataclass(frozen=True, slots=True)
class _Counted:
    rows: int
    requests: int
    tokens: int


def estimate_batch(
    spark: SparkSession,
    job: BatchJob,
    config: GatewayConfig | None = None,
    *,
    retry_errors: bool = False,
    max_rows: int | None = None,
    sample: int | None = None,
    output_tokens: int | None = None,
) -> Estimate:
    """Estimates what `run_batch` with the same arguments would send and cost.

    Args:
        spark: a session with Delta.
        job: what is asked.
        config: settings; None reads the environment.
        retry_errors: as of `run_batch`.
        max_rows: as of `run_batch`.
        sample: so many requests are sent, and their answers kept in the output; None sends nothing.
        output_tokens: of an answer, without a sample; None: `max_tokens` of the model parameters, else 200.

    Raises:
        ConfigError: something about the job is wrong.
    """
    settings = config or GatewayConfig.from_env()
    service = resolve_service(settings, job.endpoint, job.api)
    price = service.price or list_price(service.model)
    counted = _count(_requests(spark, job, retry_errors, max_rows), service)
    if sample is None or not counted.requests:
        return _assumed(job, settings, service, price, counted, output_tokens)
    requests = _requests(spark, job, retry_errors, None)
    chosen = requests.orderBy("request_hash").limit(sample).select("request_hash", "request").collect()
    run_batch(spark, job, settings, retry_errors=retry_errors, sample=sample)
    answered = _answers(spark, job, settings, [row["request_hash"] for row in chosen])
    return _extrapolated(settings, service, price, counted, chosen, answered)


def check_cost(
    spark: SparkSession,
    job: BatchJob,
    config: GatewayConfig,
    max_cost_usd: float,
    *,
    retry_errors: bool = False,
    max_rows: int | None = None,
) -> None:
    """Refuses a job whose estimate is above a cap; sends nothing.

    Raises:
        ConfigError: it is, or no price is known.
    """
    found = estimate_batch(spark, job, config, retry_errors=retry_errors, max_rows=max_rows)
    if found.cost_usd is None:
        raise ConfigError(f"max_cost: the job's cost is not known. {found.assumptions[0]}")
    if found.cost_usd.middle > max_cost_usd:
        raise ConfigError(
            f"max_cost: the job would cost about {found.cost_usd.middle:,.4f} USD, above {max_cost_usd:,.4f}: "
            f"{found.requests:,} requests with {found.input_tokens.middle:,.0f} input and "
            f"{found.output_tokens.middle:,.0f} output tokens. {' '.join(found.assumptions[1:])} Nothing was sent"
        )


def _requests(spark: SparkSession, job: BatchJob, retry_errors: bool, max_rows: int | None) -> DataFrame:
    """The different requests that are to be sent: `request_hash`, `request` as text, `images`, and how many `rows`."""
    source = read_source(spark, job.source)
    keys, inputs = check_keys(source, list(job.keys)), job.inputs(source.columns)
    output = quoted(job.output) if spark.catalog.tableExists(job.output) else None
    try:
        with as_view(source) as view:
            pending = spark.sql(
                pending_sql(
                    view,
                    output=output,
                    keys=keys,
                    inputs=inputs,
                    chunk_rows=CHUNK_ROWS,
                    retry_errors=retry_errors,
                    max_rows=max_rows,
                )
            )
    except AnalysisException as error:
        raise ConfigError(f"the job can't be planned: {first_line(error)}") from None
    is_text = pending.schema["request"].dataType.typeName() != "struct"
    request = F.col("request").cast("string") if is_text else F.to_json("request")
    images = F.col("files").isNotNull().cast("int") if "files" in pending.columns else F.lit(0)
    asked = pending.select("request_hash", request.alias("request"), images.alias("images"))
    return asked.groupBy("request_hash").agg(
        F.first("request").alias("request"), F.max("images").alias("images"), F.count("*").alias("rows")
    )


def _count(requests: DataFrame, service: Service) -> _Counted:
    each = requests.mapInArrow(
        partial(_tokens, framing=_framing(service)), "rows BIGINT, requests BIGINT, tokens BIGINT"
    )
    row = each.agg(F.sum("rows").alias("rows"), F.sum("requests").alias("requests"), F.sum("tokens").alias("t")).first()
    assert row is not None
    return _Counted(row["rows"] or 0, row["requests"] or 0, row["t"] or 0)


def _tokens(batches: Iterator[pa.RecordBatch], framing: int) -> Iterator[pa.RecordBatch]:
    """Sums over each batch; a request that is NULL is a row, and none that is sent."""
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in ("request", "images", "rows")]
        sent = [(text, images) for text, images, _ in zip(*columns, strict=True) if text is not None]
        tokens = sum(count_tokens(text) + framing + images * PER_IMAGE for text, images in sent)
        sums = {"rows": [sum(columns[2])], "requests": [len(sent)], "tokens": [tokens]}
        yield pa.RecordBatch.from_pydict(sums)


def _framing(service: Service) -> int:
    return PER_MESSAGE if task_of(service.api) is Task.CHAT else 0


def _answers(spark: SparkSession, job: BatchJob, settings: GatewayConfig, hashes: list[str]) -> dict[str, Row]:
    """What became of the sample's requests, by hash, with the latency that the usage table has."""
    rows = spark.table(quoted(job.output)).where(F.col("request_hash").isin(hashes)).dropDuplicates(["request_hash"])
    usage = spark.table(quoted(settings.usage_table)).select(F.col("invocation_id").alias("event_id"), "latency_ms")
    found = rows.join(usage, "event_id", "left").select(
        "request_hash", "input_tokens", "output_tokens", "cost_usd", "latency_ms", "error_kind"
    )
    return {row["request_hash"]: row for row in found.collect()}


def _assumed(
    job: BatchJob,
    settings: GatewayConfig,
    service: Service,
    price: Price | None,
    counted: _Counted,
    output_tokens: int | None,
) -> Estimate:
    parameters = job.model_parameters or {}
    most = next((parameters[name] for name in ("max_tokens", "max_completion_tokens") if name in parameters), None)
    task = task_of(service.api)
    each = 0 if task is not Task.CHAT else output_tokens if output_tokens is not None else int(most or OUTPUT_TOKENS)
    answered = counted.requests * each
    assumptions = [_of_price(service, price), _of_input(service)]
    if task is Task.CHAT:
        source = "as given" if output_tokens is not None else "max_tokens" if most else "an assumption"
        assumptions.append(f"Each answer has {each:,} tokens ({source}); --sample N measures it.")
    cost = None
    if price is not None and task is not Task.SCORING:
        cost = price.cost_usd(TokenUsage(input_tokens=counted.tokens, output_tokens=answered))
    seconds = _seconds(settings, counted.requests, counted.tokens + answered, None)
    if seconds is None:
        assumptions.append("No limit is set, and no sample says how long a request takes: the time is not known.")
    return Estimate(
        counted.rows,
        counted.requests,
        _exactly(counted.tokens),
        _exactly(answered),
        None if cost is None else _exactly(cost),
        seconds,
        0,
        tuple(assumptions),
    )


def _extrapolated(
    settings: GatewayConfig,
    service: Service,
    price: Price | None,
    counted: _Counted,
    chosen: list[Row],
    answered: dict[str, Row],
) -> Estimate:
    framing = _framing(service)
    known = [(count_tokens(row["request"]) + framing, answered[row["request_hash"]]) for row in chosen
             if row["request"] is not None and row["request_hash"] in answered]  # fmt: skip
    if not known:
        raise ConfigError("sample: none of its requests was answered; see the errors in the output table")
    sizes = [float(size) for size, _ in known]
    rest, rest_size = max(0, counted.requests - len(known)), max(0.0, counted.tokens - sum(sizes))

    def total(values: Iterable[float | Decimal | None]) -> Interval:
        each = [float(value or 0) for value in values]
        return total_of_rest(sizes, each, rest, rest_size).plus(sum(each))

    latencies = [row["latency_ms"] for _, row in known if row["latency_ms"] is not None]
    input_tokens = total(row["input_tokens"] for _, row in known)
    output_tokens = total(row["output_tokens"] for _, row in known)
    failed = sum(row["error_kind"] is not None for _, row in known)
    assumptions = [
        f"A sample of {len(known):,} requests, chosen by their hashes, is like the others; intervals hold with 95% "
        "confidence.",
        _of_price(service, price),
    ]
    if failed:
        assumptions.append(f"{failed:,} of the sample failed, and are taken to have cost nothing.")
    return Estimate(
        counted.rows,
        counted.requests,
        input_tokens,
        output_tokens,
        None if price is None else total(row["cost_usd"] for _, row in known),
        _seconds(
            settings,
            counted.requests,
            input_tokens.middle + output_tokens.middle,
            sum(latencies) / len(latencies) / 1000 if latencies else None,
        ),
        len(known),
        tuple(assumptions),
    )


def _seconds(settings: GatewayConfig, requests: int, tokens: float, latency_s: float | None) -> float | None:
    """How long the slowest of latency and limits takes; None where none of them is known."""
    bounds = [
        None if latency_s is None else requests * latency_s / settings.max_concurrency,
        settings.requests_per_minute and requests * 60 / settings.requests_per_minute,
        settings.tokens_per_minute and tokens * 60 / settings.tokens_per_minute,
    ]
    return max((bound for bound in bounds if bound is not None), default=None)


def _of_input(service: Service) -> str:
    framing = _framing(service)
    beside = f", and {framing} for the message" if framing else ""
    return f"Input tokens are counted by the o200k vocabulary{beside}; models with another one differ by some percent."


def _of_price(service: Service, price: Price | None) -> str:
    if price is None:
        return f"No price of {service.model} is known: set endpoints[{service.endpoint!r}].prices."
    source = "the endpoint's prices" if service.price is not None else "list prices"
    return f"Prices are {source}: {price.input:g} USD a million input tokens, {price.output:g} USD output."


def _exactly(value: float) -> Interval:
    return Interval(float(value), float(value), float(value))


def _json(interval: Interval) -> dict[str, float]:
    return {"middle": interval.middle, "low": interval.low, "high": interval.high}
