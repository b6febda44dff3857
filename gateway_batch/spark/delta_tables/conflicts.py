"""Commits of Spark that another writer of the table overtook."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway_batch.spark.session.session_kind import WRITE_ERRORS

T = TypeVar("T")

PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0)

_log = logging.getLogger(__name__)


def is_conflict(error: Exception) -> bool:
    """Whether a commit failed only because another came first, so that it may succeed when it is tried again."""
    return "DELTA_CONCURRENT" in str(error) or "DELTA_METADATA_CHANGED" in str(error)


def commit(
    write: Callable[[], T],
    pauses_s: Sequence[float] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    rng: Callable[[], float] = random.random,
) -> T:
    """Writes, and again after each pause while other writers' commits come first.

    Args:
        write: makes one commit.
        pauses_s: seconds between two tries, `PAUSES_S` if None; each is shortened by up to a half, so that
            two writers don't meet again.
        sleep: waits seconds.
        rng: in [0, 1).

    Raises:
        Exception: what `write` raises last, or for another reason.
    """
    for pause_s in PAUSES_S if pauses_s is None else pauses_s:
        try:
            return write()
        except WRITE_ERRORS as error:
            if not is_conflict(error):
                raise
            _log.info("another writer's commit came first; this one is tried again")
        sleep(pause_s * (1 - rng() / 2))
    return write()
