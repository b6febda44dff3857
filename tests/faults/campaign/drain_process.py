"""A drain in a process of its own, in the Spark session of the process that started it.

`python -m tests.faults.campaign.drain_process <spool folder> <table>` says `ready`, then flushes for each line that it
reads and answers with the rows committed, or with the error. Starting it takes half a second, where a session of its
own takes ten; when it is killed the JVM finishes what it was at, as a driver's does in the moment until it ends too.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from gateway_batch.spark.ledger.drain import UsageDrain
from gateway_batch.spark.session.jvm import gateway_of

ROOT = Path(__file__).parents[3]
"""Where `tests` can be imported from."""


class DrainProcess:
    """One that is about to be ready, or is."""

    def __init__(self, spark: SparkSession, spool_dir: Path, table: str, environment: Mapping[str, str]) -> None:
        jvm = gateway_of(spark).gateway_parameters
        its_jvm = {"PYSPARK_GATEWAY_PORT": str(jvm.port), "PYSPARK_GATEWAY_SECRET": jvm.auth_token}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(spool_dir), table],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment, **its_jvm},
            cwd=ROOT,
        )
        self._is_ready = False

    def start_flush(self) -> None:
        """Returns as it begins.

        Raises:
            RuntimeError: the process has ended.
        """
        assert self._process.stdin is not None
        if not self._is_ready and self._read() != "ready":
            raise RuntimeError(f"a drain's process ended with {self._process.wait()}")
        self._is_ready = True
        self._process.stdin.write("flush\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        """Waits for the flush: the number of rows, or the error's name and text; empty if it was killed."""
        return self._read()

    def has_answered(self) -> bool:
        """Whether the flush is over."""
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], 0)[0])

    def kill(self) -> str:
        """At once; returns what it had still said, when it has ended. Killing it again does nothing."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError, ValueError):
            return self._process.communicate()[0].strip()
        return ""

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _attach() -> SparkSession:
    """The session of the JVM that `PYSPARK_GATEWAY_PORT` names."""
    gateway = launch_gateway()  # type: ignore[no-untyped-call]
    session = gateway.jvm.org.apache.spark.sql.classic.SparkSession.getDefaultSession().get()
    context = gateway.jvm.org.apache.spark.api.java.JavaSparkContext.fromSparkContext(session.sparkContext())
    conf = SparkConf(_jconf=context.getConf())
    return SparkSession(SparkContext(jsc=context, gateway=gateway, conf=conf), session)


def say(flush: Callable[[], int]) -> str:
    """A flush's rows, or its error, on a line."""
    try:
        return str(flush())
    except OSError as error:
        return f"OSError: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def main(spool_dir: Path, table: str) -> None:
    spark = _attach()
    with tempfile.TemporaryDirectory() as empty:  # a first flush takes long before it comes to the segments
        UsageDrain(spark, Path(empty), table).flush()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(say(lambda: UsageDrain(spark, spool_dir, table).flush()), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
    os._exit(0)  # the session is another's: nothing here may stop it
