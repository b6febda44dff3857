"""Tables in files, by what their names say."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql.types import StructType

from gateway_batch.errors import ConfigError
from gateway_batch.spark.files.bad_input import Faults
from gateway_batch.spark.files.csv_input import write_parquet
from gateway_batch.spark.files.exact_schema import exact_schema
from gateway_batch.spark.files.json_input import decimals_of, is_sound_document, objects_of
from gateway_batch.spark.session.session_kind import is_classic, runs_on_one_host

CSV, JSON, PARQUET, DELTA = "csv", "json", "parquet", "delta"

_OTHER_FILES = frozenset({
    ".arrow", ".avro", ".bz2", ".feather", ".gz", ".htm", ".html", ".lz4", ".md", ".orc", ".snappy",
    ".tsv", ".txt", ".xls", ".xlsx", ".xml", ".xz", ".yaml", ".yml", ".zip", ".zst",
})  # fmt: skip
_KINDS = {".csv": CSV, ".json": JSON, ".jsonl": JSON, ".ndjson": JSON, ".parquet": PARQUET}

_CORRUPT = "_gateway_batch_corrupt"
_NULL = "\0gateway_batch: NULL\0"
"""What Spark reads as NULL, besides an empty field; by default it also reads an empty text in quotes so."""


def kind_of(path: Path) -> str:
    """Of what kind the file at a path is or is to be; Delta where its name says none."""
    return _KINDS.get(path.suffix.lower(), DELTA)


def output_kind(path: Path) -> str:
    """Of what kind an output is to be.

    Raises:
        ConfigError: its name is that of a file which can't be written.
    """
    if path.suffix.lower() in _OTHER_FILES and not path.is_dir():
        raise ConfigError(
            f"output: {path}: a {path.suffix} file can't be written: name a .csv, .json, .jsonl, .ndjson or .parquet "
            "file, or a folder for Delta"
        )
    return kind_of(path)


def read_table(spark: SparkSession, path: Path, faults: Faults | None = None) -> DataFrame:
    """A CSV (with a header), JSON-lines, Parquet or Delta file or folder.

    A file of JSON may be one document too. CSV that only another host's workers could read goes through Spark's own
    reader, which is less exact and names no row.

    Args:
        spark: the session.
        path: of the file or folder.
        faults: takes rows and lines that can't be read; None: the first is an error.

    Raises:
        ConfigError: there is no such file, its kind is unknown, or a row or line of it can't be read.
    """
    faults = faults or Faults()
    if not path.exists():
        raise ConfigError(f"no such file or folder: {path}")
    if (path / "_delta_log").is_dir():
        return spark.read.format("delta").load(str(path.absolute()))
    kind = kind_of(path)
    if kind == DELTA and path.is_dir() and any(path.glob("*.parquet")):
        kind = PARQUET
    if kind == DELTA:
        raise ConfigError(f"{path}: not a .csv, .json, .jsonl or .parquet file, nor a folder of Parquet or Delta")
    if kind == CSV:
        return _read_csv(spark, path, faults)
    readable = _readable(path) if runs_on_one_host(spark) else path.absolute()
    if kind == JSON:
        return _read_json(spark, path, readable, faults)
    return one_path(spark).format(kind).load(str(readable))


def one_path(spark: SparkSession) -> DataFrameReader:
    """What reads a path whose brackets, stars and so on are part of its name."""
    return spark.read.option("__globPaths__", False)


def _readable(path: Path) -> Path:
    """A file under a name that Spark can read: it looks for the checksum of one with a colon by a wrong path."""
    if ":" not in path.name or not path.is_file():
        return path.absolute()
    link = _own_folder() / path.name.replace(":", "_")
    link.symlink_to(path.absolute())
    return link


def _read_csv(spark: SparkSession, path: Path, faults: Faults) -> DataFrame:
    files = _files_of(path)
    if files and runs_on_one_host(spark):
        write_parquet(files, folder := _own_folder(), faults)
        return one_path(spark).parquet(str(folder))
    _check_here(path, files, faults)
    return one_path(spark).csv(str(path.absolute()), header=True, multiLine=True, escape='"', nullValue=_NULL)


def _check_here(path: Path, files: list[Path], faults: Faults) -> None:
    """Looks for rows that can't be read, where Spark's own reader fills what they lack with NULL and counts none."""
    if faults.skip:
        raise ConfigError(
            f"{path}: rows can be left out only where Spark runs on this machine alone, and of plain files of one "
            "folder: mend it, or read it without --bad-input skip"
        )
    if files:
        with tempfile.TemporaryDirectory(prefix="gateway_batch-") as folder:
            write_parquet(files, Path(folder), faults)


def _read_json(spark: SparkSession, path: Path, sound: Path, faults: Faults) -> DataFrame:
    """Lines of JSON, or one document of an object or a list of them; `sound` is what Spark can read."""
    reader = one_path(spark).option("columnNameOfCorruptRecord", _CORRUPT)
    frame, is_document, files = reader.json(str(sound)), False, _files_of(path)
    if _CORRUPT in frame.columns:
        if faults.skip and not (files and runs_on_one_host(spark)):
            _check_here(path, files, faults)
        is_document = bool(files) and all([is_sound_document(file, faults) for file in files])
        if files and not is_document:
            kept = _own_folder() / "rows.json"
            with kept.open("wb") as lines:
                lines.writelines(text + b"\n" for file in files for text in objects_of(file, faults))
            sound = kept if runs_on_one_host(spark) else sound
        frame = reader.json(str(sound), multiLine=is_document)
    if _CORRUPT in frame.columns:
        raise ConfigError(f"{path}: there is a line that is no JSON object")
    exact = exact_schema(frame.schema, lambda: decimals_of(files), lambda: _with_decimals(spark, sound, is_document))
    return frame if exact == frame.schema else reader.schema(exact).json(str(sound), multiLine=is_document)


def _with_decimals(spark: SparkSession, path: Path, is_document: bool) -> StructType:
    """The types of a file's columns, with DECIMAL for fractions that it holds."""
    session = spark
    if is_classic(spark):  # of a number as 1e300 Spark asks for a negative scale, and fails where that is not allowed
        session = spark.newSession()
        session.conf.set("spark.sql.legacy.allowNegativeScaleOfDecimal", True)
    return one_path(session).json(str(path), multiLine=is_document, prefersDecimal=True).schema


def _files_of(path: Path) -> list[Path]:
    """A file itself, or what a folder has of plain files; none where it has others, as of partitions or compressed."""
    if path.is_file():
        return [path]
    shown = [each for each in sorted(path.iterdir()) if not each.name.startswith((".", "_"))]
    plain = all(each.is_file() and each.suffix.lower() not in _OTHER_FILES for each in shown)
    return [each for each in shown if each.stat().st_size] if plain else []


def _own_folder() -> Path:
    """A folder that is there until this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="gateway_batch-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
