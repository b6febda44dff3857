"""Writes the web page of the usage dashboard."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

from gateway_batch.dashboard.page import MAX_BYTES, check_library, render_page
from gateway_batch.dashboard.read import DAYS, read_cube
from gateway_batch.errors import ConfigError
from gateway_batch.local_files.outputs import check_text, write_text

_MARK = "<title>AI gateway usage</title>"


def write_dashboard(
    spark: SparkSession,
    path: str | Path,
    usage_table: str = "ai_gateway.usage",
    schema: str = "ai_gateway",
    *,
    days: int = DAYS,
    max_bytes: int = MAX_BYTES,
) -> Path:
    """Writes the usage dashboard as one HTML file, which works from disk and loads nothing from a network.

    Days that `refresh_usage` has put into the aggregate are read from there, others from the usage table's rows.

    Args:
        spark: a session that may make tables and views in the schema.
        path: of the file; it is replaced when the new one is complete.
        usage_table: ours, or `system.ai_gateway.usage`.
        schema: that of the aggregate and of the table of prices.
        days: number of days, the last of them with usage.
        max_bytes: of the file, as for `render_page`.

    Returns:
        The file.

    Raises:
        ConfigError: there is no usage table, it lacks columns, the charts' library is not installed, there is no such
            folder, something else than such a page is there, or the page can't be made so small.
    """
    file = Path(path)
    if not file.parent.is_dir() or file.is_dir():
        raise ConfigError(f"{file} can't be written: it has to be a file in a folder that exists")
    if days < 1:
        raise ConfigError(f"days is {days}: at least one is needed")
    check_text(file, _MARK)
    check_library()
    page = render_page(read_cube(spark, usage_table, schema, days=days), max_bytes=max_bytes)
    write_text(file, page)
    return file
