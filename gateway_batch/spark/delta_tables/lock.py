"""Order among the processes that write a Delta table on a local disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gateway_batch.local_files.locks import locked


@contextlib.contextmanager
def table_lock(folder: Path | None) -> Iterator[None]:
    """Holds a table's lock: Delta's log store for local disks orders the writers of one JVM only.

    Args:
        folder: of the table; None for one that is not on a local disk, whose log store orders all writers.
    """
    if folder is None:
        yield
        return
    with locked(folder / "_gateway_batch.lock"):
        yield
