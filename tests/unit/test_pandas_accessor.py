"""`series.ai` over the shipped fake transport and a real spool; `tests/client` has it against the real gateway."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gateway_batch.pandas as ai
from gateway_batch import Client, GatewayConfig
from gateway_batch.errors import ConfigError, RejectedError
from gateway_batch.transport import FakeTransport

from .client_bench import MODEL, VECTORS, Bench, asked, echo, embed

INDEX = pd.Index(["x", "y", "y", "z"], name="id")


@pytest.fixture(autouse=True)
def configured_as_at_first() -> Iterator[None]:
    yield
    ai.configure()


def use(bench: Bench, *arguments: Any, **settings: Any) -> Bench:
    ai.configure(client=bench.open(*arguments, **settings))
    return bench


def test_each_prompt_is_answered_index_and_name_kept(bench: Bench) -> None:
    use(bench)
    asked_of = pd.Series(["a", "b", "c", "d"], index=INDEX, name="question")
    pd.testing.assert_series_equal(asked_of.ai.query(MODEL), asked_of)
    assert len(bench.rows()) == 4


def test_the_same_text_is_asked_once(bench: Bench) -> None:
    use(bench)
    assert list(pd.Series(["a", "b", "a", "a"]).ai.query(MODEL)) == ["a", "b", "a", "a"]
    assert sorted(map(asked, bench.sent)) == ["a", "b"]
    assert len(bench.rows()) == 2


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_a_missing_value_sends_nothing_and_stays_missing(bench: Bench, missing: object) -> None:
    use(bench)
    answers = pd.Series(["a", missing, "b"], dtype=object).ai.query(MODEL)
    assert list(answers) == ["a", None, "b"]
    assert sorted(map(asked, bench.sent)) == ["a", "b"]


def test_nothing_but_missing_values_and_no_rows_at_all_send_nothing(bench: Bench) -> None:
    use(bench)
    assert list(pd.Series([None, None], dtype=object).ai.query(MODEL)) == [None, None]
    empty = pd.Series([], dtype=object, name="q")
    pd.testing.assert_series_equal(empty.ai.query(MODEL), empty)
    frame = empty.ai.query(MODEL, fail_on_error=False)
    assert (list(frame.columns), len(frame)) == (["result", "error"], 0)
    assert bench.sent == []


@pytest.mark.parametrize("kind", ["string", "string[pyarrow]"])
def test_answers_to_a_column_of_strings_are_one(bench: Bench, kind: str) -> None:
    use(bench)
    texts = pd.Series(["a", None, "b"], dtype=kind)
    pd.testing.assert_series_equal(texts.ai.query(MODEL), texts)


def test_categories_are_asked_once_each(bench: Bench) -> None:
    use(bench)
    answers = pd.Series(["a", "b", "a"], dtype="category").ai.query(MODEL)
    assert (list(answers), answers.dtype, len(bench.sent)) == (["a", "b", "a"], object, 2)


def test_the_first_failure_is_raised(bench: Bench) -> None:
    use(bench)
    with pytest.raises(RejectedError, match="no: fail"):
        pd.Series(["a", "fail"]).ai.query(MODEL)


def test_failures_stand_beside_results_if_asked(bench: Bench) -> None:
    use(bench)
    frame = pd.Series(["a", "fail", None, "fail"], index=INDEX).ai.query(MODEL, fail_on_error=False)
    wanted = pd.DataFrame(
        {"result": ["a", None, None, None], "error": [None, "400: no: fail", None, "400: no: fail"]}, index=INDEX
    )
    pd.testing.assert_frame_equal(frame, wanted)
    assert len(bench.sent) == 2


def test_details_are_columns(bench: Bench) -> None:
    use(bench, endpoints={MODEL: {"prices": {"input": 1, "output": 1}}})
    frame = pd.Series(["a", "a", None, "fail"], index=INDEX).ai.query(MODEL, fail_on_error=False, details=True)
    rows = {row["status_code"]: row for row in bench.rows()}
    events = [rows[status]["client_metadata"]["event_id"] for status in (200, 400)]
    assert list(frame["event_id"]) == [events[0], events[0], None, events[1]]
    assert list(frame["error_kind"]) == [None, None, None, "bad_request"]
    assert list(frame["cost_usd"]) == [Decimal("0.000015"), Decimal("0.000015"), None, None]
    assert list(frame["input_tokens"].dropna()) == [11, 11]
    assert list(frame["latency_ms"].dropna()) == [rows[200]["latency_ms"]] * 2
    assert frame["model"].iloc[0] == rows[200]["destination_model"]
    kinds = frame.dtypes.astype(str).to_dict()
    assert {name for name, kind in kinds.items() if kind == "Int64"} == {
        "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "attempts",
        "latency_ms", "texts",
    }  # fmt: skip


def test_details_need_no_column_of_errors_where_failures_are_raised(bench: Bench) -> None:
    use(bench)
    frame = pd.Series(["a"]).ai.query(MODEL, details=True)
    assert not {"error", "error_kind"} & set(frame.columns)
    assert frame["result"].item() == "a"


def test_texts_become_vectors(bench: Bench) -> None:
    use(bench, embed)
    vectors = pd.Series(["a", "bb", None, "a"], index=INDEX, name="text").ai.embed(VECTORS)
    pd.testing.assert_series_equal(vectors, pd.Series([[1], [2], None, [1]], index=INDEX, name="text"))
    assert json.loads(bench.sent[0].body)["input"] == ["a", "bb"]
    frame = pd.Series(["a", "bb"]).ai.embed(VECTORS, details=True, fail_on_error=False)
    assert (list(frame["result"]), list(frame["texts"])) == ([[1], [2]], [2, 2])


def test_what_a_call_says_is_sent(bench: Bench) -> None:
    use(bench)
    pd.Series(["a"]).ai.query(
        MODEL, instructions="Be short.", model_parameters={"temperature": 0}, request_tags={"team": "search"}
    )
    body = bench.body()
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["temperature"] == 0
    assert bench.rows()[0]["request_tags"] == {"team": "search"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", 3], "the Series must hold texts, not int, as it does at 1"),
        ([["a"], "b"], "the Series must hold texts, not list, as it does at 0"),
        (["\ud800"], r"requests\[0\]: holds half of a surrogate pair"),
    ],
)
def test_what_is_no_text_is_refused(bench: Bench, values: list[object], message: str) -> None:
    use(bench)
    with pytest.raises(ConfigError, match=message):
        pd.Series(values).ai.query(MODEL)
    assert bench.sent == []


def test_an_argument_that_there_is_not_is_refused(bench: Bench) -> None:
    use(bench)
    with pytest.raises(ConfigError, match="temperature: no such argument"):
        pd.Series(["a"]).ai.query(MODEL, temperature=0)


def test_it_works_where_an_event_loop_is_running(bench: Bench) -> None:
    use(bench)

    async def cell() -> list[str]:
        return list(pd.Series(["a", "b"]).ai.query(MODEL))

    assert asyncio.run(cell()) == ["a", "b"]


def test_all_series_share_one_client_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "https://theirs")
    monkeypatch.chdir(tmp_path)
    client = ai.shared_client()
    assert (client.config.host, ai.shared_client()) == ("https://theirs", client)


def test_a_config_opens_a_client_of_its_own_and_closes_the_one_before(tmp_path: Path) -> None:
    ai.configure(GatewayConfig.from_env(host="https://one", spool_dir=str(tmp_path / "one")))
    one = ai.shared_client()
    ai.configure(GatewayConfig.from_env(host="https://other", spool_dir=str(tmp_path / "other")))
    assert ai.shared_client().config.host == "https://other"
    with pytest.raises(RuntimeError, match="the client is closed"):
        one.query(MODEL, "a")


def test_a_given_client_stays_open_and_is_not_asked_for_twice(bench: Bench) -> None:
    client = bench.open()
    with pytest.raises(ConfigError, match="a config or a client, not both"):
        ai.configure(client.config, client=client)
    ai.configure(client=client)
    assert ai.shared_client() is client
    ai.configure()
    assert client.query(MODEL, "still open") == "still open"


def test_a_bar_is_shown_in_a_terminal_unless_it_is_switched_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(bench)
    texts = pd.Series(["a", "b", "b"])
    texts.ai.query(MODEL)
    assert capsys.readouterr().err == "", "no terminal"
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes it for a terminal
    monkeypatch.setenv("TERM", "xterm")
    texts.ai.query(MODEL)
    shown = capsys.readouterr().err
    assert MODEL in shown
    assert "2/2" in shown
    texts.ai.query(MODEL, progress=False)
    ai.configure(client=bench.clients[0], progress=False)
    texts.ai.query(MODEL)
    assert capsys.readouterr().err == ""
    monkeypatch.delenv("FORCE_COLOR")
    texts.ai.query(MODEL, progress=True)
    assert "2/2" in capsys.readouterr().err


def test_the_bar_of_a_failed_call_ends_with_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(bench)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with pytest.raises(RejectedError):
        pd.Series(["fail"]).ai.query(MODEL, progress=True)
    assert "1/1" in capsys.readouterr().err


def test_a_client_for_tests_needs_no_network(tmp_path: Path) -> None:
    config = GatewayConfig.from_env(host="https://h", spool_dir=str(tmp_path))
    with Client(config, open_transport=lambda: FakeTransport(echo)) as client:
        ai.configure(client=client)
        assert list(pd.Series(["a"]).ai.query(MODEL)) == ["a"]


def test_a_notebook_has_a_bar_of_its_own(tmp_path: Path) -> None:
    """In a process of its own, as IPython changes the one it is started in."""
    cell = """
from IPython.utils.capture import capture_output
from gateway_batch.pandas.progress_bar import progress_bar
with capture_output() as seen, progress_bar("a <model>", 3, shown=None) as report:
    for done in (1, 2, 3):
        report(done, 3)
for output in seen.outputs:
    print(output.data["text/plain"], output.data["text/html"], sep=" | ")
"""
    script = f"from IPython.core.interactiveshell import InteractiveShell as S\nS.instance().run_cell({cell!r})"
    notebook = {**os.environ, "IPYTHONDIR": str(tmp_path), "DATABRICKS_RUNTIME_VERSION": "17.3"}  # as rich knows one
    done = subprocess.run([sys.executable, "-c", script], env=notebook, capture_output=True, text=True)
    shown = done.stdout.splitlines()
    assert shown[0] == 'a <model>: 0 of 3 | a &lt;model&gt; <progress value="0" max="3"></progress> 0 of 3', done.stderr
    assert [line.partition(" | ")[0] for line in shown[1:]] == ["a <model>: 1 of 3", "a <model>: 3 of 3"]
