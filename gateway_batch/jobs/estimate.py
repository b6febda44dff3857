"""What a batch job would send and cost, before it does: counted, and if wanted extrapolated from a sample.

Without a sample nothing is sent: requests and their input tokens are counted, the output is an assumption. A sample is
a run of the job over some requests chosen by their hashes; its answers stay in the output, so nobody pays them twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import partial

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from gateway_batch.config import GatewayConfig, resolve_service
from gateway_batch.errors import ConfigError
from gateway_batch.jobs.pending_rows import pending_sql
from gateway_batch.jobs.run import CHUNK_ROWS, BatchJob, run_batch
from gateway_batch.jobs.source import check_keys, read_source
from gateway_batch.pricing.list_prices import list_price
from gateway_batch.pricing.token_counts import count_tokens
from gateway_batch.spark.estimates.extrapolation import Interval, total_of_rest
from gateway_batch.spark.estimates.request_counts import (
    Counted,
    Estimate,
    assumed,
    count,
    framing_of,
    of_price,
    seconds_of,
)
from gateway_batch.spark.files.bad_input import faults_for
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.session.sql_text import quoted
from gateway_batch.spark.session.temporary_view import as_view
from gateway_batch.types import Price, Service


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
        sample: number of requests to send, whose answers are kept in the output; None sends nothing.
        output_tokens: of an answer, without a sample; None: `max_tokens` of the model parameters, else 200.

    Raises:
        ConfigError: something about the job is wrong.
    """
    settings = config or GatewayConfig.from_env()
    service = resolve_service(settings, job.endpoint, job.api)
    price, framing = service.price or list_price(service.model), framing_of(service, job.system_prompt)
    with _requests(spark, job, service.model, retry_errors, max_rows) as requests:
        counted = count(requests, framing)
    if sample is None or not counted.requests:
        return assumed(job.model_parameters or {}, settings, service, price, counted, output_tokens)
    with _requests(spark, job, service.model, retry_errors, None) as requests:
        chosen = requests.orderBy("request_hash").limit(sample).select("request_hash", "request").collect()
    run_batch(spark, job, settings, retry_errors=retry_errors, sample=sample)
    answered = _answers(spark, job, settings, [row["request_hash"] for row in chosen])
    return _extrapolated(settings, service, price, framing, counted, chosen, answered)


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


@contextlib.contextmanager
def _requests(
    spark: SparkSession, job: BatchJob, model: str, retry_errors: bool, max_rows: int | None
) -> Iterator[DataFrame]:
    """The different requests that are to be sent: `request_hash`, `request` as text, `images`, and how many `rows`.

    A Spark Connect session looks for the source's view whenever the DataFrame is used, so it is there for that long.
    """
    source = read_source(spark, job.source, faults_for(job.bad_input))
    keys, inputs = check_keys(source, list(job.keys)), job.inputs(source.columns, model)
    output = quoted(job.output) if spark.catalog.tableExists(quoted(job.output)) else None
    planned = partial(
        pending_sql,
        output=output,
        keys=keys,
        inputs=inputs,
        chunk_rows=CHUNK_ROWS,
        retry_errors=retry_errors,
        max_rows=max_rows,
    )
    with as_view(source) as view:
        try:
            pending = spark.sql(planned(view))
            is_text = pending.schema["request"].dataType.typeName() != "struct"
        except AnalysisException as error:
            raise ConfigError(f"the job can't be planned: {first_line(error)}") from None
        request = F.col("request").cast("string") if is_text else F.to_json("request")
        images = F.col("files").isNotNull().cast("int") if "files" in pending.columns else F.lit(0)
        asked = pending.select("request_hash", request.alias("request"), images.alias("images"))
        yield asked.groupBy("request_hash").agg(
            F.first("request").alias("request"), F.max("images").alias("images"), F.count("*").alias("rows")
        )


def _answers(spark: SparkSession, job: BatchJob, settings: GatewayConfig, hashes: list[str]) -> dict[str, Row]:
    """What became of the sample's requests, by hash, with the latency that the usage table has."""
    rows = spark.table(quoted(job.output)).where(F.col("request_hash").isin(hashes)).dropDuplicates(["request_hash"])
    usage = spark.table(quoted(settings.usage_table)).select(F.col("invocation_id").alias("event_id"), "latency_ms")
    found = rows.join(usage, "event_id", "left").select(
        "request_hash", "input_tokens", "output_tokens", "cost_usd", "latency_ms", "error_kind"
    )
    return {row["request_hash"]: row for row in found.collect()}


def _extrapolated(
    settings: GatewayConfig,
    service: Service,
    price: Price | None,
    framing: int,
    counted: Counted,
    chosen: list[Row],
    answered: dict[str, Row],
) -> Estimate:
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
        of_price(service, price),
    ]
    if failed:
        assumptions.append(f"{failed:,} of the sample failed, and are taken to have cost nothing.")
    return Estimate(
        counted.rows,
        counted.requests,
        input_tokens,
        output_tokens,
        None if price is None else total(row["cost_usd"] for _, row in known),
        seconds_of(
            settings,
            counted.requests,
            input_tokens.middle + output_tokens.middle,
            sum(latencies) / len(latencies) / 1000 if latencies else None,
        ),
        len(known),
        tuple(assumptions),
    )
