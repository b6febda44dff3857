from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from gateway_batch.spark.session.interrupt import cancel_jobs_on_interrupt
from gateway_batch.spark.worker.cancelling import ended_by_exception, flusher


@contextmanager
def handled(number: signal.Signals, handler: signal.Handlers | None) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_the_end_of_spark_is_an_exception() -> None:
    steps = []

    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            steps.append("went on")
        finally:
            os.kill(os.getpid(), signal.SIGHUP)  # while records are written
            steps.append("recorded")

    with handled(signal.SIGHUP, signal.SIG_IGN):
        with pytest.raises(SystemExit, match="Spark has ended"), ended_by_exception():
            work()
        assert steps == ["recorded"]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_no_signal_is_handled_off_the_main_thread() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with ExitStack() as stack:
        thread = threading.Thread(target=lambda: stack.enter_context(ended_by_exception()))
        thread.start()
        thread.join()
        assert signal.getsignal(signal.SIGHUP) is before


def test_what_a_worker_wrote_is_flushed_wherever_its_stream_is_on_the_stack() -> None:
    class Stream:
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    def main(_infile: None, outfile: Stream) -> None:
        list(answers())

    def answers() -> Iterator[None]:
        flush = flusher()
        yield None
        flush()

    stream = Stream()
    main(None, stream)
    assert stream.flushed == 1


def test_without_a_stream_nothing_is_flushed() -> None:
    flusher()()


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
def test_a_handler_of_ctrl_c_that_is_not_pysparks_stays(handler: signal.Handlers) -> None:
    with handled(signal.SIGINT, handler):
        cancel_jobs_on_interrupt()
        assert signal.getsignal(signal.SIGINT) is handler
