"""A DataFrame under a name, for a statement."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

from pyspark.sql import DataFrame


@contextlib.contextmanager
def as_view(frame: DataFrame) -> Iterator[str]:
    """A DataFrame as a temporary view, of a name that no one else has."""
    name = f"_gateway_batch_{uuid.uuid4().hex}"
    frame.createOrReplaceTempView(name)
    try:
        yield name
    finally:
        frame.sparkSession.catalog.dropTempView(name)
