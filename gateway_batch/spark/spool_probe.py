"""Whether workers and client of a Spark Connect session share the spool folder; where not, records would be lost."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import types as t

from gateway_batch.errors import ConfigError
from gateway_batch.spark.arrow_function import arrow_function
from gateway_batch.spark.messages import first_line
from gateway_batch.version import VERSION

_HOW = (
    "Set a folder that the workers and this process share, such as one of a mounted volume (GATEWAY_BATCH_SPOOL_DIR)."
)


def check_spool_is_shared(spark: SparkSession, spool_dir: Path) -> None:
    """Has a worker leave a file in the spool folder, and looks for it here.

    Raises:
        ConfigError: it isn't there, the worker can't write, or it lacks this package in this version.
    """
    probe = spool_dir / f"probe-{secrets.token_hex(8)}"
    function = arrow_function(_make_probe(str(probe)), t.StringType(), "gateway_batch_probe")
    try:
        answer = spark.range(1).select(function("id").alias("answer")).first()
    except PySparkException as error:
        raise ConfigError(f"the workers of the session can't run gateway_batch: {_why(error)}") from None
    assert answer is not None
    version, _, failure = answer["answer"].partition(" ")
    if failure:
        raise ConfigError(f"spool_dir: the workers can't write to {spool_dir}: {failure}. {_HOW}")
    if version != VERSION:
        raise ConfigError(f"the workers of the session have gateway_batch {version}, this process {VERSION}")
    try:
        probe.unlink()
    except FileNotFoundError:
        raise ConfigError(f"spool_dir: what the workers write to {spool_dir} is not seen here. {_HOW}") from None


def leave_probe(path: str) -> str:
    """This process's version of the package and, behind a space, why the file could not be made."""
    try:
        Path(path).touch()
    except OSError as error:
        return f"{VERSION} {error.strerror}"
    return VERSION


def _make_probe(path: str) -> Callable[[Iterator[pa.Array]], Iterator[pa.Array]]:
    def gateway_batch_probe(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        for rows in batches:
            yield pa.array([leave_probe(path)] * len(rows), type=pa.string())

    return gateway_batch_probe


def _why(error: PySparkException) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    missing = next((line for line in lines if line.startswith("ModuleNotFoundError: ")), None)
    return f"{missing}: install it where they run" if missing else first_line(error)
