from __future__ import annotations

from gateway_batch.spark.session.messages import first_line


def test_our_own_error_is_found_in_a_workers_traceback() -> None:
    text = "Job aborted\n  File x\ngateway_batch.errors.LedgerError: usage can't be recorded\n\tat org.apache"
    assert first_line(RuntimeError(text)) == "usage can't be recorded"


def test_a_java_error_says_what_java_said() -> None:
    text = (
        "An error occurred while calling o41.commit.\n: java.io.IOException: No space left on device\n\tat a.b(C.java)"
    )
    assert first_line(RuntimeError(text)) == "java.io.IOException: No space left on device"


def test_an_error_without_text_has_its_name() -> None:
    assert first_line(KeyError()) == "KeyError"
