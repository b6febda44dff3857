"""The SQL functions of a Spark Connect session: what is theirs alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from tests.conformance.together import answered_together
from tests.connect.conftest import MODEL, refusal

VALUES = {
    "ai_query('echo', 'hello')": "hello",
    "ai_query('echo', 'hello', 'STRING', true)": "hello",
    "ai_query(REQUEST => 7, endpoint => 'echo')": "7",
    "ai_query('echo', 'hello', modelParameters => to_variant_object(named_struct('max_tokens', 5)))": "hello",
    "ai_query('echo', 'hello', files => NULL)": None,
    "ai_query('echo', NULL)": None,
    "ai_query('echo', 'hello', `when` => false)": None,
    "ai_query('echo', 'hello', when => NULL)": None,
    "ai_query('echo', 'hello', failOnError => false)": '{"result":"hello","errorMessage":null}',
    "ai_query('echo', '{\"a\": 1}', responseFormat => 'json_object')": '{"a": 1}',
    "ai_query('echo', '{\"a\": 1}', responseFormat => 'json_object', failOnError => false)": (
        '{"result":"{\\"a\\": 1}","errorMessage":null}'
    ),
    "CAST(ai_classify('hello', array('hello', 'x')) AS STRING)": "hello",
    """to_json(ai_classify('hello', '["hello", "x"]'))""": '{"error_message":null,"response":["hello"]}',
    "ai_similarity('a lake', 'a lake')": 1.0,
    "ai_similarity('a lake', NULL)": None,
    "ai_gen(NULL)": None,
    "to_json(ai_classify('hello', array('hello', 'x'), failOnError => false))": (
        '{"errorMessage":null,"result":"hello"}'
    ),
    "CAST(ai_classify(parse_json('{\"pet\": \"cat\"}'), array('cat', 'dog')) AS STRING)": "cat",
}
TEXTS = (
    "ai_analyze_sentiment('a lake')",
    "ai_fix_grammar(content => 'a lake')",
    "ai_mask('a lake', array('email'))",
    "ai_summarize('a lake', max_words => 0)",
    "ai_summarize('a lake')",
    "ai_translate('a lake', 'de')",
    "ai_gen('a lake', failOnError => false)",
    "to_json(ai_extract('a lake', '[\"name\"]', map('instructions', 'Be strict.')))",
    "to_json(ai_extract('a lake', '[\"name\"]', map('version', '2.1', 'mode', 'precision')))",
    "to_json(ai_classify('a lake', '[\"lake\", \"bog\"]', map('version', '2.1', 'enableConfidenceScores', 'true')))",
    'to_json(ai_decide(\'a lake\', \'{"wet": {"type": "noul", "instructions": "Is it wet?"}}\'))',
)
EMBEDDING = "ai_query('databricks-gte-large-en', 'a lake')"
CAREFUL_EMBEDDING = "ai_query('databricks-gte-large-en', 'a lake', failOnError => false)"
TYPED_EMBEDDING = f"from_json({EMBEDDING}, 'ARRAY<FLOAT>')"


@pytest.fixture(scope="module")
def answers(spark: SparkSession, registered: gb.Gateway) -> dict[str, Any]:
    """What each call gives."""
    calls = (*VALUES, *TEXTS, EMBEDDING, CAREFUL_EMBEDDING, TYPED_EMBEDDING)
    found = answered_together({call: spark.sql(f"SELECT {call} AS a") for call in calls})
    return {call: answered.rows[0].a for call, answered in found.items()}


@pytest.mark.parametrize("call", VALUES)
def test_a_call_gives(answers: dict[str, Any], call: str) -> None:
    assert answers[call] == VALUES[call]


@pytest.mark.parametrize("call", TEXTS)
def test_a_task_function_answers(answers: dict[str, Any], call: str) -> None:
    assert isinstance(answers[call], str)


def test_embeddings_are_json(answers: dict[str, Any]) -> None:
    vector = json.loads(answers[EMBEDDING])
    assert len(vector) == 1024
    assert json.loads(answers[CAREFUL_EMBEDDING]) == {"result": vector, "errorMessage": None}
    assert answers[TYPED_EMBEDDING] == pytest.approx(vector, abs=1e-6)


@pytest.mark.usefixtures("registered")
def test_a_failed_row_has_its_error_in_it(spark: SparkSession, server: RunningGateway) -> None:
    server.configure(faults=[{"match": "broken", "status": 400, "message": "no such lake"}])
    query = f"SELECT ai_query('{MODEL}', t, failOnError => false) AS a FROM VALUES ('broken'), ('whole') AS v(t)"
    failed, whole = (json.loads(row.a) for row in spark.sql(query).collect())
    assert failed["result"] is None
    assert failed["errorMessage"].startswith("[AI_FUNCTION_HTTP_REQUEST_ERROR]")
    assert whole["errorMessage"] is None


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("call", "starts", "says"),
    [
        ("ai_query('echo', named_struct('a', 1))", "[DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION]", 'to "VARIANT"'),
        (
            "ai_query('echo', 'x', modelParameters => named_struct('max_tokens', 1))",
            "[DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION]",
            'to "VARIANT"',
        ),
        ("ai_query('echo', 'x', colour => 'red')", "[UNRECOGNIZED_PARAMETER_NAME]", "colour"),
        ("ai_query('echo')", "[WRONG_NUM_ARGS.WITHOUT_SUGGESTION]", ""),
        (
            "ai_query('echo', '7', returnType => 'INT')",
            "[AI_FUNCTION_UNSUPPORTED_RETURN_TYPE]",
            "use gateway_batch.functions.ai_query(..., returnType=...)",
        ),
        ("ai_query('nobody/', 'x', api => 'nope')", "endpoint nobody/: no API 'nope'", ""),
        ("ai_similarity('x', 'y', failOnError => false)", "[INVALID_PARAMETER_VALUE]", "but in gb.functions"),
        ("ai_translate('x', 'tlh')", "[INVALID_PARAMETER_VALUE]", "de, en, es, fr, hi, it, pt, th"),
        *(
            pytest.param(*case, marks=pytest.mark.nightly)  # the worker's own tests and the functions' have them
            for case in (
                (
                    "ai_query('echo', '{}', responseFormat => 'STRUCT<o: STRUCT<a: INT>>')",
                    "[AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT.DDL_STRING]",
                    "use gateway_batch.functions.ai_query, which takes DDL",
                ),
                (
                    "ai_query('echo', array(1))",
                    "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE]",
                    "request of ai_query must be STRING",
                ),
                (
                    "ai_query('echo', 'x', modelParameters => 'hot')",
                    "[AI_FUNCTION_INVALID_MODEL_PARAMETERS.INVALID_PARAMETER_DATA_TYPE]",
                    "to_variant_object(named_struct(...))",
                ),
                (
                    "ai_query('echo', 'x', failOnError => 'no')",
                    "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE]",
                    "failOnError of ai_query must be BOOLEAN, not STRING",
                ),
                (
                    "ai_query(NULL, 'x')",
                    "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE]",
                    "endpoint of ai_query must be STRING",
                ),
                (
                    "ai_summarize('x', 'ten')",
                    "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE]",
                    "max_words of ai_summarize must be INT",
                ),
                ("ai_mask('x', 'email')", "[INVALID_PARAMETER_VALUE]", "non-empty array of strings"),
            )
        ),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_sent(
    spark: SparkSession, server: RunningGateway, echoed: list[Any], call: str, starts: str, says: str
) -> None:
    line = refusal(spark, f"SELECT {call}")
    assert line.startswith(starts), line
    assert says in line
    assert server.stats()["requests"] == len(echoed) == 0


@pytest.mark.usefixtures("registered")
def test_rows_that_differ_in_a_constant_are_refused(spark: SparkSession, server: RunningGateway) -> None:
    """Those of one task, that is: other tasks' rows are not seen."""
    apis = "IF(id < 5, 'mlflow/v1/chat/completions', NULL)"
    line = refusal(spark, f"SELECT ai_query('{MODEL}', 'x', api => {apis}) FROM range(0, 10, 1, 1)")
    assert line.startswith("[DATATYPE_MISMATCH.NON_FOLDABLE_INPUT] The argument api of ai_query must be a constant")
    assert server.stats()["requests"] == 0


@pytest.mark.usefixtures("registered", "server")
def test_session_variables_views_and_sub_queries(spark: SparkSession, texts: DataFrame) -> None:
    spark.sql("DECLARE OR REPLACE VARIABLE chosen STRING DEFAULT 'echo'")
    spark.sql("CREATE OR REPLACE TEMPORARY VIEW asked AS SELECT id, ai_query(chosen, text_column) AS a FROM my_table")
    rows = spark.sql("SELECT a FROM asked WHERE id IN (SELECT max(id) FROM my_table) ORDER BY a").collect()
    assert [row.a for row in rows] == ["Lake 39 is a deep and quiet lake."]
    counted = spark.sql("SELECT count(DISTINCT ai_query('echo', text_column)) AS n FROM my_table").first()
    assert counted is not None
    assert counted.n == texts.count()
