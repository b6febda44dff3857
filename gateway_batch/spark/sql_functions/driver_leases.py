"""The lease service of this driver: one for its Spark application, started by the first registration that wants it."""

from __future__ import annotations

from pyspark import SparkContext

from gateway_batch.admission.lease_server import LeaseServer

_running: tuple[str, LeaseServer] | None = None


def lease_server_of(context: SparkContext) -> LeaseServer:
    """The application's, which runs until the next application of this process, or its end.

    Raises:
        ConfigError: it can't listen where the driver does.
    """
    global _running
    if _running is not None and _running[0] != context.applicationId:
        _running[1].close()
        _running = None
    if _running is None:
        host = context.getConf().get("spark.driver.host") or "127.0.0.1"
        bind = context.getConf().get("spark.driver.bindAddress") or host
        _running = context.applicationId, LeaseServer(bind, host)
    return _running[1]
