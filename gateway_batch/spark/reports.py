"""Usage reports from the Delta table."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from gateway_batch.errors import ConfigError
from gateway_batch.spark.sql_files import read_sql
from gateway_batch.spark.usage_table import literal, quoted

_KEYS = {
    "endpoint": "endpoint_name",
    "model": "destination_model",
    "requester": "requester",
    "api": "api_type",
    "status": "coalesce(CAST(status_code AS STRING), client_metadata.outcome)",
    "error": "coalesce(client_metadata.error_kind, '-')",
    "hour": "date_trunc('HOUR', event_time)",
}


def usage_by(spark: SparkSession, table: str, key: str) -> list[dict[str, Any]]:
    """A row per value of a key: requests, failures, tokens, latencies (`sql/reports/usage.sql`).

    Args:
        spark: a session that knows the table.
        table: the usage table.
        key: `endpoint`, `model`, `requester`, `api`, `status`, `error`, `hour`, or `tag:NAME`.

    Raises:
        ConfigError: there is no such key.
    """
    if key.startswith("tag:"):
        name = key.removeprefix("tag:")
        expression = f"coalesce(request_tags[{literal(name)}], '-')"
    elif key in _KEYS:
        name, expression = key, _KEYS[key]
    else:
        raise ConfigError(f"no report by {key!r}; there are {', '.join(_KEYS)} and tag:NAME")
    query = read_sql("reports", "usage").format(
        key=expression, key_name=f"`{name.replace('`', '``')}`", usage_table=quoted(table)
    )
    return [row.asDict() for row in spark.sql(query).collect()]
