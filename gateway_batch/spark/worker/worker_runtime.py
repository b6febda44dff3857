"""The runtime of a worker process, kept across its tasks: made at the first one, after Spark's daemon forked it."""

from __future__ import annotations

from gateway_batch.config import Credentials
from gateway_batch.engine.runtime import Runtime, RuntimeSettings

_runtime: Runtime | None = None


def runtime_for(settings: RuntimeSettings, credentials: Credentials) -> Runtime:
    """This process's runtime. One of other settings is closed first: a worker runs one task at a time."""
    global _runtime
    if _runtime is not None and _runtime.settings != settings:
        _runtime.close()
        _runtime = None
    if _runtime is None:
        _runtime = Runtime(settings, credentials)
    return _runtime
