"""What became of the rows of a chunk, counted by Spark."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as t

from gateway_batch.apis.endings import CUT_OFF, WITHHELD
from gateway_batch.errors import ErrorKind
from gateway_batch.jobs.pending_rows import UNSENT
from gateway_batch.jobs.report import Chunk

_ADDED = ("input_tokens", "output_tokens", "cut_off", "filtered", "empty")


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
            *(F.count_if(ended).alias(name) for name, ended in _endings(answers).items()),
        )
        .collect()
    )
    counted = [row for row in rows if row["error_kind"] not in UNSENT]
    sums = {name: sum(row[name] or 0 for row in counted) for name in _ADDED}
    known = has_price or not (sums["input_tokens"] or sums["output_tokens"])
    return Chunk(
        rows=sum(row["rows"] for row in counted),
        unsent=sum(row["rows"] for row in rows) - sum(row["rows"] for row in counted),
        errors={row["error_kind"]: row["rows"] for row in counted if row["error_kind"] is not None},
        cost_usd=sum((row["cost_usd"] or 0 for row in counted), start=0) if known else None,  # type: ignore[arg-type]
        **sums,
    )


def _endings(answers: DataFrame) -> dict[str, Column]:
    """By the names of `BatchReport`, whether a row's answer ended so."""
    reason, is_text = F.lower("finish_reason"), isinstance(answers.schema["result"].dataType, t.StringType)
    return {
        "cut_off": reason.isin(*CUT_OFF),
        "filtered": F.coalesce(reason.isin(*WITHHELD), F.lit(False)) | (F.col("error_kind") == ErrorKind.POLICY.value),
        "empty": F.trim("result") == "" if is_text else F.lit(False),
    }
