"""Whether workers on other hosts share the spool folder with this process; where not, records would be lost."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import types as t

from gateway_batch.errors import ConfigError
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.session.session_kind import is_classic
from gateway_batch.spark.sql_functions.arrow_udf import arrow_function, classic_arrow_function
from gateway_batch.version import __version__

_WORKERS = 8
"""Tasks that look; which hosts they run on is Spark's choice."""

_HOW = "Set a folder that all hosts of the session share, such as one of a mounted volume (GATEWAY_BATCH_SPOOL_DIR)."


def check_spool_is_shared(spark: SparkSession, spool_dir: Path) -> None:
    """Has workers leave files in the spool folder, and looks for them here.

    Raises:
        ConfigError: one isn't there, a worker can't write, or it lacks this package in this version.
    """
    probe = spool_dir / f"probe-{secrets.token_hex(8)}"
    make = classic_arrow_function if is_classic(spark) else arrow_function
    function = make(_make_probe(str(probe)), t.StringType(), "gateway_batch_probe")
    try:
        tried = spark.range(0, _WORKERS, 1, _WORKERS).select("id", function("id").alias("answer")).collect()
    except PySparkException as error:
        raise ConfigError(f"the workers of the session can't run gateway_batch: {_why(error)}") from None
    for row in tried:
        version, _, failure = row["answer"].partition(" ")
        if failure:
            raise ConfigError(f"spool_dir: the workers can't write to {spool_dir}: {failure}. {_HOW}")
        if version != __version__:
            raise ConfigError(f"the workers of the session have gateway_batch {version}, this process {__version__}")
    try:
        for row in tried:
            _of_one(probe, row["id"]).unlink()
    except FileNotFoundError:
        raise ConfigError(f"spool_dir: what the workers write to {spool_dir} is not seen here. {_HOW}") from None


def _of_one(probe: Path, number: int) -> Path:
    return probe.with_name(f"{probe.name}-{number}")


def leave_probe(path: str) -> str:
    """This process's version of the package and, behind a space, why the file could not be made."""
    try:
        Path(path).touch(mode=0o600)
    except OSError as error:
        return f"{__version__} {error.strerror}"
    return __version__


def _make_probe(path: str) -> Callable[[Iterator[pa.Array]], Iterator[pa.Array]]:
    def gateway_batch_probe(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        for rows in batches:
            answers = [leave_probe(str(_of_one(Path(path), number))) for number in rows.to_pylist()]
            yield pa.array(answers, type=pa.string())

    return gateway_batch_probe


def _why(error: PySparkException) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    missing = next((line for line in lines if line.startswith("ModuleNotFoundError: ")), None)
    return f"{missing}: install it where they run" if missing else first_line(error)
