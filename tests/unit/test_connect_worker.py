"""What the workers of Spark Connect make of their columns, before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gateway_batch.config import GatewayConfig
from gateway_batch.engine.runtime import RuntimeSettings
from gateway_batch.errors import AiFunctionError, ConfigError
from gateway_batch.spark.calls.call_plan import CallerSettings, CallPlan, Input, Shape
from gateway_batch.spark.calls.planning import Planner
from gateway_batch.spark.sql_functions import connect_worker
from gateway_batch.spark.sql_functions.connect_sql import NO_FILE
from gateway_batch.spark.sql_functions.connect_worker import answer_texts, no_ddl, utc

MODEL = "databricks-gpt-5-4"


@pytest.fixture
def planner(tmp_path: Path) -> Planner:
    config = GatewayConfig(host="http://127.0.0.1:9")
    runtime = RuntimeSettings.of(config, scope="app", registration=0, spool_dir=tmp_path)
    caller = CallerSettings("app", "ana", None, None)
    return Planner(config, runtime, caller, parse_type=no_ddl, time_zone=utc, texts=True)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The plan and then each batch's columns that come to be run; answers are the first column."""
    found: list[Any] = []

    def run(plan: CallPlan, credentials: Any, batches: Any) -> Any:
        found.append(plan)
        for columns in batches:
            found.append([column.to_pylist() for column in columns])
            yield columns[0] if pa.types.is_string(columns[0].type) else pa.nulls(len(columns[0]), pa.float32())

    monkeypatch.setattr(connect_worker, "run_partition", run)
    return found


def batch(requests: list[Any], file: bytes | None = NO_FILE, **constants: Any) -> tuple[pa.Array, ...]:
    """As the SQL function hands it over; a request is what it is before `to_json`."""
    rows = len(requests)
    written = json.dumps({"function": "ai_query", "endpoint": MODEL, **constants})
    return (
        pa.array([written] * rows),
        pa.array([None if request is None else json.dumps(request) for request in requests], pa.string()),
        pa.array([file] * rows, pa.binary()),
        pa.array([None] * rows, pa.map_(pa.string(), pa.string())),
        pa.array([True] * rows),
    )


def test_texts_come_out_of_their_json(planner: Planner, seen: list[Any]) -> None:
    list(answer_texts(planner, iter([batch(['a "lake"\n', 7, 0.5, True, None]), batch(["ü"])])))
    plan, first, second = seen
    assert plan.inputs == (Input.REQUEST, Input.TAGS, Input.CONDITION)
    assert first[0] == ['a "lake"\n', "7", "0.5", "true", None]
    assert second[0] == ["ü"]


def test_no_rows_need_no_plan(planner: Planner, seen: list[Any]) -> None:
    assert list(answer_texts(planner, iter([]))) == []
    assert list(answer_texts(planner, iter([batch([])]))) == []
    assert seen == []


@pytest.mark.parametrize("file", [None, b"png"])
def test_a_file_that_is_null_is_a_file(planner: Planner, seen: list[Any], file: bytes | None) -> None:
    list(answer_texts(planner, iter([batch(["a"], file=file)])))
    assert seen[0].inputs == (Input.REQUEST, Input.TAGS, Input.CONDITION, Input.FILES)
    assert seen[1][3] == [file]


def test_a_record_stays_json(planner: Planner, seen: list[Any]) -> None:
    list(answer_texts(planner, iter([batch([None, {"age": 3}])])))
    assert seen[0].service.api == "mlflow/v1/invocations"
    assert seen[1][0] == [None, '{"age": 3}']


def test_requests_that_are_all_null_are_what_the_endpoint_wants(planner: Planner, seen: list[Any]) -> None:
    list(answer_texts(planner, iter([batch([None], api="mlflow/v1/invocations")])))
    list(answer_texts(planner, iter([batch([None])])))
    assert [seen[0].service.api, seen[2].service.api] == ["mlflow/v1/invocations", "mlflow/v1/chat/completions"]


@pytest.mark.parametrize(("flag", "shape"), [(True, Shape.VALUE), (None, Shape.VALUE), (False, Shape.RESULT)])
def test_errors_are_raised_or_in_the_json(planner: Planner, seen: list[Any], flag: bool | None, shape: Shape) -> None:
    list(answer_texts(planner, iter([batch(["a"], failOnError=flag)])))
    assert seen[0].shape is shape
    assert seen[0].result_type == '"string"'


@pytest.mark.parametrize("given", [{"max_tokens": 5}, '{"max_tokens": 5}'])
def test_parameters_are_json_or_a_variant(planner: Planner, seen: list[Any], given: Any) -> None:
    list(answer_texts(planner, iter([batch(["a"], modelParameters=given)])))
    assert json.loads(seen[0].parameters) == {"max_tokens": 5}


def test_similar_texts_come_in_pairs(planner: Planner, seen: list[Any]) -> None:
    columns = (pa.array(['{"function": "ai_similarity"}'] * 2), pa.array(['"a"', '"b"']), pa.array(['"c"', None]))
    list(answer_texts(planner, iter([columns])))
    assert seen[1] == [[["a", "c"], ["b", None]]]


@pytest.mark.parametrize(
    ("labels", "answers"), [(["a lake", "b"], ['"a lake"']), ('["a lake", "b"]', ["a lake"])], ids=["ARRAY", "JSON"]
)
def test_a_label_of_a_list_is_quoted_for_parse_json(
    planner: Planner, seen: list[Any], labels: Any, answers: list[str]
) -> None:
    columns = (pa.array([json.dumps({"function": "ai_classify", "labels": labels})]), pa.array(['"a lake"']))
    (found,) = answer_texts(planner, iter([columns]))
    assert found.to_pylist() == answers  # the second is an envelope already, once it is run


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ({"api": "mlflow/v1/chat/completions"}, {}, "api"),
        ({}, {"api": "mlflow/v1/chat/completions"}, "api"),
        ({"failOnError": True}, {"failOnError": False}, "failOnError"),
    ],
)
def test_batches_that_differ_in_a_constant_are_refused(
    planner: Planner, seen: list[Any], first: dict[str, Any], second: dict[str, Any], name: str
) -> None:
    with pytest.raises(
        AiFunctionError, match=rf"NON_FOLDABLE_INPUT\] The argument {name} of ai_query must be a constant"
    ):
        list(answer_texts(planner, iter([batch(["a"], **first), batch(["b"], **second)])))
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("request_", "constants", "error"),
    [
        ("a", {"returnType": "INT"}, r"UNSUPPORTED_RETURN_TYPE\].*gateway_batch\.functions\.ai_query"),
        ("a", {"returnType": 1.5}, "returnType of ai_query must be STRING, not DOUBLE"),
        ("a", {"responseFormat": "STRUCT<a: STRUCT<b: INT>>"}, r"DDL_STRING\].*does not take DDL"),
        ("a", {"modelParameters": "{"}, "must be JSON text"),
        ("a", {"modelParameters": "[1]"}, "INVALID_PARAMETER_DATA_TYPE"),
        ("a", {"endpoint": None}, "endpoint of ai_query must be STRING, not VOID"),
        ("a", {"failOnError": "no"}, "failOnError of ai_query must be BOOLEAN, not STRING"),
        ([1], {}, "request of ai_query must be STRING, not ARRAY"),
        ({"a": 1}, {"api": "mlflow/v1/chat/completions"}, "request of ai_query must be STRING, not STRUCT"),
        ("a", {"api": "mlflow/v1/invocations"}, "request of ai_query must be STRUCT, not STRING"),
    ],
)
@pytest.mark.usefixtures("seen")
def test_what_is_wrong_is_refused(planner: Planner, request_: Any, constants: dict[str, Any], error: str) -> None:
    with pytest.raises(AiFunctionError, match=error):
        list(answer_texts(planner, iter([batch([request_], **constants)])))


@pytest.mark.parametrize("requests", [["a"], [None]])
def test_an_unknown_api_is_a_setting_that_is_wrong(planner: Planner, requests: list[Any]) -> None:
    with pytest.raises(ConfigError, match="no API 'nope'"):
        list(answer_texts(planner, iter([batch(requests, api="nope")])))
