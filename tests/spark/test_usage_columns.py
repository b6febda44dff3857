"""What a usage row says of who asked, from where, and what it took."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import Row, SparkSession

from tests.spark.conftest import MODEL, Register, own_rows

JOB = {"spark.databricks.job.id": "11", "spark.databricks.job.runId": "33"}
NOTEBOOK = {"spark.databricks.notebook.path": "/Users/ana@example.com/lakes"}


@contextmanager
def local_properties(spark: SparkSession, properties: dict[str, str]) -> Iterator[None]:
    for name, value in properties.items():
        spark.sparkContext.setLocalProperty(name, value)
    try:
        yield
    finally:
        for name in properties:
            spark.sparkContext.setLocalProperty(name, None)  # type: ignore[arg-type]


def job_of(row: Row) -> tuple[str | None, ...]:
    found = row.client_metadata
    return found.job_id, found.job_run_id, found.task_run_id, found.notebook_path


def test_a_row_says_which_workflow_and_notebook_it_is_of(spark: SparkSession, register_shared: Register) -> None:
    gateway = register_shared()
    query = f"SELECT ai_query('{MODEL}', 'Name a lake.')"
    with local_properties(spark, {**JOB, **NOTEBOOK, "spark.databricks.job.parentRunId": "22"}):
        spark.sql(query).collect()
    with local_properties(spark, JOB):
        spark.sql(query).collect()
    spark.sql(query).collect()
    assert gateway.usage.flush() == 3
    assert [job_of(row) for row in own_rows(gateway).orderBy("event_time").collect()] == [
        ("11", "22", "33", "/Users/ana@example.com/lakes"),
        ("11", "33", "33", None),
        (None, None, None, None),
    ]


def test_what_an_answer_says_beyond_the_columns_is_in_the_table(
    spark: SparkSession, register_shared: Register, echo_server: str
) -> None:
    gateway = register_shared(endpoints={"raw": {"base_url": echo_server.replace("/v1", "/raw")}})
    usage = {"prompt_tokens": 3, "cost": 0.25, "server_tool_use": {"web_search_requests": 2, "note": "the prompt"}}
    body = {"choices": [{"message": {"content": "Lake Biwa"}}], "service_tier": "flex", "usage": usage}
    spark.sql(f"SELECT ai_query('raw', '{json.dumps(body)}')").collect()
    assert gateway.usage.flush() == 1
    (row,) = own_rows(gateway).collect()
    assert row.client_metadata.other_usage == {"cost": "0.25", "server_tool_use.web_search_requests": "2"}
    assert row.invocation_metadata.asDict() == {"source": "AI_QUERY", "service_tier": "flex"}
    assert (row.input_tokens, row.output_tokens, row.total_tokens) == (3, 2, 5)
    assert row.client_metadata.token_source == "estimated"
