"""What the calls of any query would send and cost, before it runs. Nothing is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from gateway_batch.config import GatewayConfig
from gateway_batch.errors import ConfigError
from gateway_batch.pricing.list_prices import list_price
from gateway_batch.pricing.token_counts import PER_MESSAGE, count_tokens
from gateway_batch.spark.calls.call_plan import CallPlan, Input
from gateway_batch.spark.estimates.request_counts import Estimate, assumed, count, framing_of
from gateway_batch.spark.optimizer.calls_in_plan import CallOfQuery, calls_of_query
from gateway_batch.spark.session.session_kind import is_classic

if TYPE_CHECKING:
    from gateway_batch.spark.gateway import Gateway

_DEPENDS = "Its rows depend on other calls' answers at some place in the query; those are not in here."
_UNCACHED = "With cache off, a row counts as often as Spark evaluates it; here it counts once."


@dataclass(frozen=True, slots=True)
class CallEstimate:
    """One call of a query.

    Attributes:
        function: the SQL function.
        endpoint: that it asks.
        estimate: None where the call's rows depend on the answers of others, which only running the query shows.
        stands: where in Spark's plan, for each place where the query has it: the names of its nodes, from the root.
        asked: what the optimizer rules made of it, a sentence each.
    """

    function: str
    endpoint: str
    estimate: Estimate | None
    stands: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The call as JSON has it."""
        return {
            "function": self.function,
            "endpoint": self.endpoint,
            "estimate": None if self.estimate is None else self.estimate.as_json(),
            "stands": list(self.stands),
            "asked": list(self.asked),
        }

    def lines(self) -> Iterator[str]:
        """The call as text."""
        yield f"{self.function}({self.endpoint!r})"
        yield from (f"  {place}" for place in self.stands)
        if self.estimate is None:
            yield "  Requests are not known, as its rows depend on other calls' answers."
        else:
            yield f"  {self.estimate.in_words()}"
        yield from (f"  {line}" for line in (*self.asked, *(self.estimate.assumptions if self.estimate else ())))


def explain(spark: SparkSession, config: GatewayConfig, query: str | DataFrame, output_tokens: int | None) -> str:
    """What `Gateway.explain` prints."""
    return "\n".join(line for call in _estimates(spark, config, query, output_tokens) for line in call.lines())


def estimate_query(gateway: Gateway, query: str | DataFrame, *, output_tokens: int | None = None) -> list[CallEstimate]:
    """Estimates what the calls of a query would send and cost; sends nothing.

    A call that a query has at several places counts each request once, as it would be paid.

    Args:
        gateway: the registration whose functions the query has, of a classic session.
        query: SQL (a SELECT, or an INSERT or CREATE TABLE AS with one, which is not run), or a DataFrame.
        output_tokens: of an answer of a chat model; None: `max_tokens` of its parameters, else 200.

    Raises:
        ConfigError: it can't be planned, or has no call.
    """
    return _estimates(gateway.spark, gateway.config, query, output_tokens)


def _estimates(
    spark: SparkSession, config: GatewayConfig, query: str | DataFrame, output_tokens: int | None
) -> list[CallEstimate]:
    if not is_classic(spark):
        raise ConfigError("estimates of queries need a classic session; on Spark Connect, estimate a batch job")
    calls = calls_of_query(spark, query)
    if not calls:
        raise ConfigError("the query has no call of ai_query or a task function")
    return [
        CallEstimate(
            call.plan.function,
            call.plan.service.endpoint,
            _estimate(config, call, output_tokens),
            tuple(call.stands),
            tuple(call.asked),
        )
        for call in calls
    ]


def _estimate(config: GatewayConfig, call: CallOfQuery, output_tokens: int | None) -> Estimate | None:
    plan, service = call.plan, call.plan.service
    if not call.rows:
        return None
    requests = _different(reduce(DataFrame.union, [_asked(plan, rows) for rows in call.rows]), plan)
    counted = count(requests, framing_of(service, plan.instructions) + _labels(plan))
    price = service.price or list_price(service.model)
    found = assumed(json.loads(plan.parameters), config, service, price, counted, output_tokens)
    return found.with_assumptions(
        [text for text, holds in ((_DEPENDS, call.depends), (_UNCACHED, plan.cache == "off")) if holds]
    )


def _asked(plan: CallPlan, rows: DataFrame) -> DataFrame:
    """What each row asks: `request`, NULL where it sends nothing, `files`, `tags`; and `rows`, 1 but in a row's second.

    A similarity asks for two texts a row.
    """
    request, row = F.col(Input.REQUEST), F.lit(1)
    if isinstance(rows.schema[Input.REQUEST].dataType, t.ArrayType):
        rows = rows.select(F.posexplode(request).alias("place", Input.REQUEST))
        row = F.when(F.col("place") == 0, 1).otherwise(0)
    if Input.LABELS in plan.inputs:  # they are part of what is asked, and of its tokens
        labels = F.col(Input.LABELS)
        is_text = isinstance(rows.schema[Input.LABELS].dataType, t.StringType)
        request = F.concat(request, F.lit("\n"), labels if is_text else F.array_join(labels, "\n"))
    if Input.CONDITION in plan.inputs:
        request = F.when(F.col(Input.CONDITION), request)
    files = F.col(Input.FILES) if Input.FILES in plan.inputs else F.lit(None).cast("binary")
    tags = F.to_json(F.col(Input.TAGS)) if Input.TAGS in plan.inputs else F.lit(None).cast("string")
    return rows.select(
        request.alias("request"), files.alias("files"), tags.alias("tags"), row.cast("bigint").alias("rows")
    )


def _different(asked: DataFrame, plan: CallPlan) -> DataFrame:
    """A row for each request that differs, and some for the rows that send nothing."""
    images = F.col("files").isNotNull().cast("int")
    if plan.cache == "off":
        return asked.select("request", images.alias("images"), "rows")
    return asked.groupBy("request", F.sha2("files", 256), "tags").agg(
        F.max(images).alias("images"), F.sum("rows").alias("rows")
    )


def _labels(plan: CallPlan) -> int:
    """Tokens of what is said of labels that differ from row to row; they themselves are counted with each row."""
    if plan.classifier is None:
        return 0
    labels = ["a", "b"]
    return PER_MESSAGE + count_tokens(str(plan.classifier.asked(labels).instructions)) - len(labels)
