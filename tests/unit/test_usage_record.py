from __future__ import annotations

import uuid

from gateway_batch.errors import ErrorKind, RejectedError, UnreachableError
from gateway_batch.types import InferenceRequest, InferenceResult, Service, TokenUsage
from gateway_batch.usage import comments
from gateway_batch.usage.attempts import Caller, Intents, new_event_id, note_failure, note_reply, note_result
from gateway_batch.usage.record import MIRRORED_COLUMNS, ClientMetadata, UsageRecord, columns

from .samples import CALLER, CHAT, record, reply

DESTINATIONS = "ARRAY<STRUCT<name: STRING, destination_type: STRING, traffic_percentage: INT>>"
# `system.ai_gateway.usage` (reference, 3.1 and 3.2), in its order.
MIRRORED = [
    ("account_id", "STRING"),
    ("workspace_id", "STRING"),
    ("request_id", "STRING"),
    ("invocation_id", "STRING"),
    ("schema_version", "INT"),
    ("endpoint_id", "STRING"),
    ("endpoint_name", "STRING"),
    ("endpoint_tags", "MAP<STRING, STRING>"),
    (
        "endpoint_metadata",
        "STRUCT<creator: STRING, creation_time: TIMESTAMP, last_updated_time: TIMESTAMP, "
        f"destinations: {DESTINATIONS}, inference_table: STRING, fallbacks: {DESTINATIONS}>",
    ),
    ("event_time", "TIMESTAMP"),
    ("latency_ms", "BIGINT"),
    ("time_to_first_byte_ms", "BIGINT"),
    ("destination_type", "STRING"),
    ("destination_name", "STRING"),
    ("destination_id", "STRING"),
    ("destination_model", "STRING"),
    ("requester", "STRING"),
    ("requester_type", "STRING"),
    ("ip_address", "STRING"),
    ("url", "STRING"),
    ("user_agent", "STRING"),
    ("api_type", "STRING"),
    ("request_tags", "MAP<STRING, STRING>"),
    ("input_tokens", "BIGINT"),
    ("output_tokens", "BIGINT"),
    ("total_tokens", "BIGINT"),
    (
        "token_details",
        "STRUCT<cache_read_input_tokens: BIGINT, cache_creation_input_tokens: BIGINT, output_reasoning_tokens: BIGINT>",
    ),
    ("response_content_type", "STRING"),
    ("status_code", "INT"),
    (
        "routing_information",
        "STRUCT<attempts: ARRAY<STRUCT<priority: INT, action: STRING, destination: STRING, destination_id: STRING, "
        "status_code: INT, error_code: STRING, latency_ms: BIGINT, start_time: TIMESTAMP, end_time: TIMESTAMP>>>",
    ),
    ("service_type", "STRING"),
    ("service_name", "STRING"),
    ("service_tags", "MAP<STRING, STRING>"),
    ("mcp_metadata", "STRUCT<tool_name: STRING, server_type: STRING, json_rpc_method: STRING>"),
    ("invocation_metadata", "STRUCT<source: STRING, service_tier: STRING>"),
    ("service_id", "STRING"),
    (
        "session_metadata",
        "STRUCT<client_session_id: STRING, client_subagent_id: STRING, coding_agent: STRING, agent_version: STRING, "
        "surface: STRING, reasoning_effort: STRING, smart_router_name: STRING>",
    ),
    ("auth_mode", "STRING"),
]
OURS = [
    ("event_id", "STRING"),
    ("outcome", "STRING"),
    ("error_kind", "STRING"),
    ("attempt", "INT"),
    ("token_source", "STRING"),
    ("other_usage", "MAP<STRING, STRING>"),
    ("application_id", "STRING"),
    ("query_execution_id", "STRING"),
    ("stage_id", "INT"),
    ("partition_id", "INT"),
    ("task_attempt", "INT"),
    ("job_id", "STRING"),
    ("job_run_id", "STRING"),
    ("task_run_id", "STRING"),
    ("notebook_path", "STRING"),
]


def client_metadata(of: UsageRecord) -> ClientMetadata:
    assert of.client_metadata is not None
    return of.client_metadata


def test_a_row_has_the_columns_of_databricks_table_then_one_of_ours() -> None:
    assert len(MIRRORED) == 38
    struct = ", ".join(f"{name}: {sql_type}" for name, sql_type in OURS)
    assert list(columns(UsageRecord)) == [*MIRRORED, ("client_metadata", f"STRUCT<{struct}>")]


def test_the_mirrored_columns_are_all_but_the_last() -> None:
    assert list(MIRRORED_COLUMNS) == [name for name, _ in MIRRORED]


def test_an_intent_knows_who_asks_what_of_whom() -> None:
    intent = record("e-1")
    assert (intent.endpoint_name, intent.api_type) == ("chat", "mlflow/v1/chat/completions")
    assert intent.url == "https://host/ai-gateway/mlflow/v1/chat/completions"
    assert (intent.requester, intent.requester_type) == ("ana@example.com", "USER")
    assert intent.request_tags == {"team": "search"}
    assert intent.invocation_metadata is not None
    assert intent.invocation_metadata.source == "AI_QUERY"
    assert intent.event_time is not None
    assert intent.event_time.isoformat() == "2023-11-14T22:13:20.250000+00:00"
    assert (client_metadata(intent).stage_id, client_metadata(intent).partition_id) == (3, 7)


def test_records_of_a_task_share_nothing_that_changes() -> None:
    intents = Intents()
    first, second = (intents.record(CALLER, CHAT, {}, event_id=e, attempt=n, now=0.0) for n, e in ((1, "a"), (2, "b")))
    note_failure(first, UnreachableError(ErrorKind.TIMEOUT, "x"), 5)
    assert (client_metadata(first).event_id, client_metadata(first).attempt) == ("a", 1)
    assert (client_metadata(second).event_id, client_metadata(second).attempt) == ("b", 2)
    assert (second.latency_ms, client_metadata(second).outcome) == (None, "unknown")
    other = intents.record(Caller(source="EXTERNAL_CLIENT", user_agent="x"), CHAT, {}, event_id="c", attempt=1, now=0.0)
    assert (other.user_agent, other.requester, client_metadata(other).stage_id) == ("x", None, None)
    assert second == Intents().record(CALLER, CHAT, {}, event_id="b", attempt=2, now=0.0)


def test_an_event_id_is_a_random_uuid() -> None:
    made = {new_event_id() for _ in range(1_000)}
    assert len(made) == 1_000
    assert {(uuid.UUID(each).version, uuid.UUID(each).variant) for each in made} == {(4, uuid.RFC_4122)}
    assert all(str(uuid.UUID(each)) == each for each in made)


def test_an_intent_is_of_unknown_outcome_and_costs_nothing() -> None:
    intent = record("e-1")
    assert client_metadata(intent).outcome == "unknown"
    assert (intent.status_code, intent.latency_ms, intent.total_tokens) == (None, None, None)


def test_the_event_id_stands_in_until_the_server_names_the_request() -> None:
    intent = record("e-1")
    assert (intent.request_id, intent.invocation_id, client_metadata(intent).event_id) == (
        "e-1",
        "e-1",
        "e-1",
    )
    note_reply(intent, reply(200, {}, x_request_id="theirs"), 12)
    assert (intent.request_id, intent.invocation_id, client_metadata(intent).event_id) == (
        "theirs",
        "e-1",
        "e-1",
    )


def test_only_a_three_part_name_is_a_service_name() -> None:
    def service_name(model: str) -> str | None:
        service = Service(endpoint="e", api="a", url="https://h/ai-gateway/mlflow/v1/embeddings", model=model)
        return Intents().record(CALLER, service, {}, event_id="e", attempt=1, now=0.0).service_name

    assert service_name("system.ai.gpt-5-5") == "system.ai.gpt-5-5"
    assert service_name("databricks-gpt-5-4") is None


def test_without_a_requester_there_is_no_type_of_one() -> None:
    nobody = Caller(source="EXTERNAL_CLIENT", user_agent="x")
    service = Service(endpoint="e", api="a", url="u", model="m")
    assert Intents().record(nobody, service, {}, event_id="e", attempt=1, now=0.0).requester_type is None


def test_an_answer_sets_status_time_and_content_type() -> None:
    row = record("e")
    note_reply(row, reply(200, {}), 1830)
    assert (row.status_code, row.latency_ms, row.response_content_type) == (200, 1830, "application/json")
    assert client_metadata(row).outcome == "answered"


def test_a_result_sets_model_and_tokens() -> None:
    row = record("e")
    note_result(row, InferenceResult("x", TokenUsage(11, 4, 15, 3, None, 2), "gpt-5.4"))
    assert (row.input_tokens, row.output_tokens, row.total_tokens) == (11, 4, 15)
    assert row.destination_model == "gpt-5.4"
    assert row.token_details is not None
    assert row.token_details.cache_read_input_tokens == 3
    assert row.token_details.cache_creation_input_tokens is None
    assert row.token_details.output_reasoning_tokens == 2
    assert client_metadata(row).token_source == "provider"


def test_tokens_that_a_failure_does_not_report_are_unknown_and_not_zero() -> None:
    row = record("e")
    note_result(row, InferenceResult("x"))
    assert (row.input_tokens, row.total_tokens, row.token_details) == (None, None, None)
    assert client_metadata(row).token_source is None


def test_what_a_result_does_not_report_is_estimated() -> None:
    row = record("e")
    note_result(row, InferenceResult("12345678", TokenUsage(input_tokens=7)), InferenceRequest("abc"))
    assert (row.input_tokens, row.output_tokens, row.total_tokens) == (7, 2, 9)
    assert client_metadata(row).token_source == "estimated"


def test_a_failure_without_an_answer_says_so() -> None:
    row = record("e")
    note_failure(row, UnreachableError(ErrorKind.CONNECT, "x"), 40)
    assert (client_metadata(row).outcome, client_metadata(row).error_kind) == ("no_answer", "connect")
    assert (row.status_code, row.latency_ms) == (None, 40)


def test_a_failure_after_an_answer_keeps_the_answer() -> None:
    row = record("e")
    note_reply(row, reply(503, {}), 10)
    note_failure(row, RejectedError(ErrorKind.SERVER, "x", status=503), 99)
    assert (client_metadata(row).outcome, client_metadata(row).error_kind) == ("answered", "server")
    assert (row.status_code, row.latency_ms) == (503, 10)


def test_names_that_a_server_gives_are_cut_where_they_are_endless() -> None:
    row = record("e")
    note_reply(row, reply(200, {}, x_request_id="r" * 5_000), 1)
    note_result(row, InferenceResult("text", model="m" * 5_000))
    assert (row.request_id, row.destination_model) == ("r" * 256, "m" * 256)


def test_each_column_has_a_comment() -> None:
    assert list(comments.COLUMNS) == [name for name, _ in columns(UsageRecord)]
