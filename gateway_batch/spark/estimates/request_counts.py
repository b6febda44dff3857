"""Requests and their tokens counted, and what they would cost by assumption: nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from gateway_batch.apis import task_of
from gateway_batch.apis.parameters import most_output
from gateway_batch.config import GatewayConfig
from gateway_batch.pricing.token_counts import PER_IMAGE, PER_MESSAGE, count_tokens
from gateway_batch.spark.estimates.extrapolation import Interval
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

    def with_assumptions(self, further: Sequence[str]) -> Estimate:
        """The same, resting on more."""
        return replace(self, assumptions=(*self.assumptions, *further))

    def in_words(self) -> str:
        """The figures in one line, without a sample's bounds."""
        cost = "cost not known" if self.cost_usd is None else f"{self.cost_usd.middle:,.4f} USD"
        return (
            f"{self.rows:,} rows, {self.requests:,} different requests, {self.input_tokens.middle:,.0f} input tokens, "
            f"{self.output_tokens.middle:,.0f} output tokens, {cost}"
        )

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
class Counted:
    """Rows, the different requests that they make, and the tokens of these."""

    rows: int
    requests: int
    tokens: int


def count(requests: DataFrame, framing: int) -> Counted:
    """Counts requests: `request` as text, the number of its `images`, and the `rows` that make it.

    Args:
        requests: a row for each that differs; NULL is asked by rows that send nothing.
        framing: tokens that each has on top of its text.
    """
    each = requests.mapInArrow(partial(_tokens, framing=framing), "rows BIGINT, requests BIGINT, tokens BIGINT")
    row = each.agg(F.sum("rows").alias("rows"), F.sum("requests").alias("requests"), F.sum("tokens").alias("t")).first()
    assert row is not None
    return Counted(row["rows"] or 0, row["requests"] or 0, row["t"] or 0)


def _tokens(batches: Iterator[pa.RecordBatch], framing: int) -> Iterator[pa.RecordBatch]:
    """Sums over each batch; a request that is NULL is a row, and none that is sent."""
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in ("request", "images", "rows")]
        sent = [(text, images) for text, images, _ in zip(*columns, strict=True) if text is not None]
        tokens = sum(count_tokens(text) + framing + images * PER_IMAGE for text, images in sent)
        sums = {"rows": [sum(columns[2])], "requests": [len(sent)], "tokens": [tokens]}
        yield pa.RecordBatch.from_pydict(sums)


def framing_of(service: Service, instructions: str | None = None) -> int:
    """Tokens that a request has on top of its text, the system's word among them."""
    framing = PER_MESSAGE if task_of(service.api) is Task.CHAT else 0
    return framing if instructions is None else framing + PER_MESSAGE + count_tokens(instructions)


def assumed(
    parameters: Mapping[str, Any],
    settings: GatewayConfig,
    service: Service,
    price: Price | None,
    counted: Counted,
    output_tokens: int | None,
) -> Estimate:
    """The estimate of counted requests, with an assumption in the place of their answers.

    Args:
        parameters: of the model, whose `max_tokens` is taken for an answer's length.
        settings: the limits.
        service: that is asked.
        price: of its tokens; None where it isn't known.
        counted: the requests.
        output_tokens: of an answer; None: `max_tokens`, else 200.
    """
    most, task = most_output(parameters), task_of(service.api)
    each = 0 if task is not Task.CHAT else output_tokens if output_tokens is not None else int(most or OUTPUT_TOKENS)
    answered = counted.requests * each
    assumptions = [of_price(service, price), of_input(service)]
    if task is Task.CHAT:
        source = "as given" if output_tokens is not None else "max_tokens" if most else "an assumption"
        assumptions.append(f"Each answer has {each:,} tokens ({source}); a sample measures it.")
    cost = None
    if price is not None and task is not Task.SCORING:
        cost = price.cost_usd(TokenUsage(input_tokens=counted.tokens, output_tokens=answered))
    seconds = seconds_of(settings, counted.requests, counted.tokens + answered, None)
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


def seconds_of(settings: GatewayConfig, requests: int, tokens: float, latency_s: float | None) -> float | None:
    """How long the slowest of latency and limits takes; None where none of them is known."""
    bounds = [
        None if latency_s is None else requests * latency_s / settings.max_concurrency,
        settings.requests_per_minute and requests * 60 / settings.requests_per_minute,
        settings.tokens_per_minute and tokens * 60 / settings.tokens_per_minute,
    ]
    return max((bound for bound in bounds if bound is not None), default=None)


def of_input(service: Service) -> str:
    """The sentence on how input tokens are counted."""
    framing = framing_of(service)
    also = f", and {framing} for the message" if framing else ""
    return f"Input tokens are counted by the o200k vocabulary{also}; models with another one differ by some percent."


def of_price(service: Service, price: Price | None) -> str:
    """The sentence on where the price is from."""
    if price is None:
        return f"No price of {service.model} is known: set endpoints[{service.endpoint!r}].prices."
    source = "the endpoint's prices" if service.price is not None else "list prices"
    return f"Prices are {source}: {price.input:g} USD a million input tokens, {price.output:g} USD output."


def _exactly(value: float) -> Interval:
    return Interval(float(value), float(value), float(value))


def _json(interval: Interval) -> dict[str, float]:
    return {"middle": interval.middle, "low": interval.low, "high": interval.high}
