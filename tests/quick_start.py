"""Settings for sessions that live for minutes, have small tables and share two cores with others."""

from __future__ import annotations

from pathlib import Path

QUICK_START = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"
"""Java's options: no optimizing compiler, which takes more of the processor's time than it saves, but all the room for
compiled code that there is with it: in the 48 MB that Java would give the quick one alone, Spark's code doesn't fit."""

ROOM = "-Xms700m -Xmn400m -XX:+UseTransparentHugePages"
"""A driver's further ones: with so much for new objects garbage is collected a third as often, in half the time."""

SMALL_TABLES = {
    "spark.buffer.pageSize": "1m",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.codegen.cache.maxEntries": "2000",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
}
"""Spark's settings: each sort and each hash table takes a page of memory, of 64 MB by itself; each partition of a Delta
table's state makes its code anew; more code than the 100 pieces that Spark keeps by itself is used again; and
VACUUM starts that many tasks."""

INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
"""Spark compiles no query: for a few rows that takes longer than running it does."""

COMPILED = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}
"""As users run it: for the tests of how rows reach `ai_query`."""

QUICK_TEXTS = {"spark.sql.icu.caseMappings.enabled": "false"}
"""The first `lower` or `upper` reads what ICU knows of all of Unicode's letters, which takes two seconds of a core."""

PATIENT = {"spark.python.task.killTimeout": "60s"}
"""Spark kills a worker that still runs 2 s after its task was cancelled: on busy processors, as it records what was in
flight."""

_ARCHIVE = Path(__file__).parents[1] / ".tools" / "spark.jsa"


def quick_driver() -> str:
    """The options of a JVM that Spark's own jars alone are the class path of, as a driver is: it maps kept classes.

    The settings are what sessions have that set nothing else, those of commands and notebooks among them.
    """
    settings = {**SMALL_TABLES, **INTERPRETED, **QUICK_TEXTS}
    set_ = " ".join(f"-D{name}={value}" for name, value in settings.items())
    archive = f" -XX:SharedArchiveFile={_ARCHIVE} -Xlog:disable" if _ARCHIVE.exists() else ""
    return f"{QUICK_START} {ROOM} {set_}{archive}"
