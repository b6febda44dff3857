"""The demo with small real models: ten short texts, and what three functions answer about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.panel import Panel

from gateway_batch.cli.console import output
from gateway_batch.cli.demo_output import answers_table, with_progress

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from gateway_batch.spark.gateway import Gateway

ROWS = 10
LONGEST = 160
"""Characters of a text: the model reads some 80 tokens a second."""

SUMMARIES = """\
SELECT name, text_column AS text, ai_query(
  'databricks-gpt-5-4',
  'Summarize the following text: ' || text_column,
  modelParameters => named_struct('max_tokens', 32),
  requestTags => map('step', 'summaries')
) AS summary
FROM my_table"""
FIELDS = """\
SELECT name, text_column AS text,
  variant_get(ai_extract(text_column, '["keyword"]'), '$.response.keyword', 'string') AS keyword
FROM my_table"""
SIMILARITIES = """\
SELECT name, text_column AS text,
  CAST(ai_similarity(text_column, 'objects that hold others') AS DECIMAL(4, 3)) AS similarity
FROM my_table
ORDER BY similarity DESC"""
_STEPS = (
    ("ai_query", SUMMARIES, {"name": 3, "text": 4, "summary": 4}),
    ("ai_extract", FIELDS, {"name": 3, "text": 5, "keyword": 3}),
    ("ai_similarity", SIMILARITIES, {"name": 3, "text": 7, "similarity": 1}),
)


def show_functions(spark: SparkSession, registered: Gateway, count: int) -> None:
    """Runs each function over `my_table`, and prints its statement and all of its answers."""
    for title, statement, columns in _STEPS:
        output.print(Panel(statement, title=title, title_align="left", style="cyan"))
        rows, seconds = with_progress(
            registered, None if title == "ai_similarity" else count, spark.sql(statement).collect
        )
        output.print(answers_table(rows, columns))
        output.print(f"{len(rows):,} answered in {seconds:.1f} s\n")
