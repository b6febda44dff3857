"""Classic sessions, whose JVM py4j reaches, and Spark Connect sessions, whose server is elsewhere."""

from __future__ import annotations

import re

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

WRITE_ERRORS: tuple[type[Exception], ...] = (PySparkException, OSError)
"""What writing a table raises in either kind of session."""

try:
    from py4j.protocol import Py4JJavaError
except ImportError:  # a client of Spark Connect may be without py4j
    pass
else:
    WRITE_ERRORS = (*WRITE_ERRORS, Py4JJavaError)


def is_classic(spark: SparkSession) -> bool:
    """Whether the session is a classic one."""
    return hasattr(spark, "_jsparkSession")


def runs_on_one_host(spark: SparkSession) -> bool:
    """Whether the session's workers are known to be on this machine."""
    return is_classic(spark) and re.fullmatch(r"local(\[.*\])?", spark.sparkContext.master or "") is not None
