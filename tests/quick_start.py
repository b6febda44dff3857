"""Java's options for JVMs that live for minutes and share two cores."""

from __future__ import annotations

from pathlib import Path

QUICK_START = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"
"""No optimizing compiler, which takes more of the processor's time than it saves, but all the room for compiled code
that there is with it: in the 48 MB that Java would give the quick one alone, Spark's code doesn't fit."""

_ARCHIVE = Path(__file__).parents[1] / ".tools" / "spark.jsa"


def quick_driver() -> str:
    """The options of a JVM that Spark's own jars alone are the class path of, as a driver is: it maps kept classes."""
    return f"{QUICK_START} -XX:SharedArchiveFile={_ARCHIVE} -Xlog:disable" if _ARCHIVE.exists() else QUICK_START
