"""What became of the rows of a chunk, counted by Spark."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from gateway_batch.jobs.pending_rows import UNSENT
from gateway_batch.jobs.report import Chunk


def count_answers(answers: DataFrame, *, has_price: bool) -> Chunk:
    """What became of a chunk's answers; computes them.

    Args:
        answers: rows of the output table.
        has_price: whether the endpoint's tokens have a price.
    """
    rows = (
        answers.groupBy("error_kind")
        .agg(
            F.count("*").alias("rows"),
            F.sum("input_tokens").alias("input_tokens"),
            F.sum("output_tokens").alias("output_tokens"),
            F.sum("cost_usd").alias("cost_usd"),
        )
        .collect()
    )
    counted = [row for row in rows if row["error_kind"] not in UNSENT]
    input_tokens, output_tokens = (sum(row[name] or 0 for row in counted) for name in ("input_tokens", "output_tokens"))
    known = has_price or not (input_tokens or output_tokens)
    return Chunk(
        rows=sum(row["rows"] for row in counted),
        unsent=sum(row["rows"] for row in rows) - sum(row["rows"] for row in counted),
        errors={row["error_kind"]: row["rows"] for row in counted if row["error_kind"] is not None},
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=sum((row["cost_usd"] or 0 for row in counted), start=0) if known else None,  # type: ignore[arg-type]
    )
