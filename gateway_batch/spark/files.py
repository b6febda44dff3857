"""Tables in files, by what their names say."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from gateway_batch.errors import ConfigError
from gateway_batch.spark.csv_input import as_parquet
from gateway_batch.spark.json_input import json_fault
from gateway_batch.spark.session_kind import runs_on_one_host

CSV, JSON, PARQUET, DELTA = "csv", "json", "parquet", "delta"

_KINDS = {".csv": CSV, ".json": JSON, ".jsonl": JSON, ".ndjson": JSON, ".parquet": PARQUET}

_CORRUPT = "_gateway_batch_corrupt"
_NULL = "\0gateway_batch: NULL\0"
"""What Spark is to take for NULL beside nothing at all; by itself it takes an empty text in quotes for it, too."""


def kind_of(path: Path) -> str:
    """Of what kind the file at a path is or is to be; Delta where its name says none."""
    return _KINDS.get(path.suffix.lower(), DELTA)


def read_table(spark: SparkSession, path: Path) -> DataFrame:
    """A CSV (with a header), JSON-lines, Parquet or Delta file or folder.

    A file of JSON may be one document too. A CSV file that only another host's workers could read goes through Spark's
    own reader, which is less exact.

    Raises:
        ConfigError: there is no such file, its kind can't be told, or a row or line of it can't be read.
    """
    if not path.exists():
        raise ConfigError(f"no such file or folder: {path}")
    if (path / "_delta_log").is_dir():
        return spark.read.format("delta").load(str(path))
    kind = kind_of(path)
    if kind == DELTA and path.is_dir() and any(path.glob("*.parquet")):
        kind = PARQUET
    if kind == DELTA:
        raise ConfigError(f"{path}: not a .csv, .json, .jsonl or .parquet file, nor a folder of Parquet or Delta")
    if kind == CSV and path.is_file() and runs_on_one_host(spark):
        return spark.read.parquet(str(as_parquet(path)))
    if kind == CSV:
        return spark.read.csv(str(path), header=True, multiLine=True, escape='"', nullValue=_NULL)
    return _read_json(spark, path) if kind == JSON else spark.read.format(kind).load(str(path))


def _read_json(spark: SparkSession, path: Path) -> DataFrame:
    """Lines of JSON, or one document of an object or a list of them."""
    reader = spark.read.option("columnNameOfCorruptRecord", _CORRUPT)
    frame = reader.json(str(path))
    if _CORRUPT in frame.columns and path.is_file():
        fault = json_fault(path)
        if fault is not None:
            raise ConfigError(f"{path}: {fault}")
        frame = reader.json(str(path), multiLine=True)
    if _CORRUPT in frame.columns:
        raise ConfigError(f"{path}: there is a line that is no JSON object")
    return frame
