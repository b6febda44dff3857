"""The spool's outcomes against the gateway's own ledger, one for one."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway_batch import CallError, File, ResponseFormat
from gateway_batch.devgateway import RunningGateway
from gateway_batch.usage.spool import sealed_segments
from tests.unit.samples import sealed_rows

from .conftest import GatewayRecord, Open, ours, wait_until_busy

MODEL = "databricks-gpt-5-4"
VECTORS = "databricks-gte-large-en"
APIS = {
    "mlflow/v1/chat/completions": MODEL,
    "openai/v1/responses": MODEL,
    "anthropic/v1/messages": "databricks-claude-sonnet-4-5",
    "gemini/v1/generateContent": "databricks-gemini-2-5-flash",
}
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def lakes(count: int) -> list[str]:
    return [f"Summarize: Lake {number} is a deep and quiet lake." for number in range(count)]


def test_answers_of_all_methods_are_as_the_gateway_has_them(
    open_client: Open, spool_dir: Path, gateway_record: GatewayRecord
) -> None:
    with open_client(request_tags={"team": "search"}) as client:
        assert client.query(MODEL, lakes(1)[0], model_parameters={"max_tokens": 50}).startswith("Lake 0")
        assert len(set(client.query_many(MODEL, lakes(30), request_tags={"step": "many"}))) == 30
        assert [len(vector) for vector in client.embed(VECTORS, ["a", "b"])] == [1024, 1024]
        assert len(asyncio.run(client.aembed(VECTORS, lakes(5)))) == 5
        assert asyncio.run(client.aquery(MODEL, "hi", api="openai/v1/chat/completions"))
    rows = sealed_rows(spool_dir)
    assert len(rows) == 1 + 30 + 1 + 1 + 1
    assert ours(rows) == gateway_record()
    assert {row["request_tags"].get("team") for row in rows} == {"search"}


def test_records_are_copied_from_a_folder_of_the_host_to_a_shared_one(
    open_client: Open, spool_dir: Path, gateway_record: GatewayRecord, tmp_path: Path
) -> None:
    with open_client(spool_local_dir=str(tmp_path / "local")) as client:
        client.query_many(MODEL, lakes(20))
    rows = sealed_rows(spool_dir)
    assert len(rows) == 20
    assert all(name.copied for _, name in sealed_segments(spool_dir))
    assert not [path for path in (tmp_path / "local").rglob("*.log")]
    assert ours(rows) == gateway_record()


def test_every_chat_api_takes_instructions_a_format_and_pictures_and_its_ledger_reconciles(
    open_client: Open, spool_dir: Path, gateway_record: GatewayRecord
) -> None:
    wanted = ResponseFormat({"type": "object", "properties": {"depth": {"type": "string"}}, "required": ["depth"]})
    with open_client() as client:
        for api, model in APIS.items():
            answer = client.query(model, lakes(1)[0], api=api, instructions="Be short.", response_format=wanted)
            assert isinstance(json.loads(answer)["depth"], str), api
            assert client.query(model, "What is it?", api=api, files=[File(PIXEL, "image/png")]), api
    rows = sealed_rows(spool_dir)
    assert sorted(row["api_type"] for row in rows) == sorted([*APIS, *APIS])
    assert ours(rows) == gateway_record()


def test_the_cached_share_of_a_marked_system_prompt_is_in_the_ledger(
    open_client: Open, spool_dir: Path, gateway_record: GatewayRecord
) -> None:
    instructions, api = f"{spool_dir}: {'Answer as a hydrologist would. ' * 250}", "anthropic/v1/messages"
    parameters = {"cache_control": {"type": "ephemeral"}, "max_tokens": 50}
    with open_client() as client:
        answers = [
            client.query(APIS[api], text, details=True, api=api, instructions=instructions, model_parameters=parameters)
            for text in lakes(3)
        ]
    rows = sealed_rows(spool_dir)
    assert ours(rows) == gateway_record()
    details = [row["token_details"] for row in rows]
    written, *read = [each.get("cache_creation_input_tokens") or each["cache_read_input_tokens"] for each in details]
    assert details[0]["cache_creation_input_tokens"] == written > 1_024
    assert read == [written] * 2
    assert [answer.tokens.cache_read_tokens for answer in answers] == [0, written, written]
    costs = [answer.cost_usd or 0 for answer in answers]
    assert costs[1] == costs[2] < costs[0], "what is read from the cache costs a tenth"


def test_what_a_row_says_of_service_and_destination_is_what_the_gateway_says(
    server: RunningGateway, open_client: Open, spool_dir: Path
) -> None:
    names = ("service_type", "service_name", "destination_type", "destination_name")
    with open_client() as client:
        for endpoint in (MODEL, "system.ai.gpt-5-4", "main.default.support"):
            client.query(endpoint, "hi")
        client.embed(VECTORS, ["a"])
    rows = sealed_rows(spool_dir)
    with closing(sqlite3.connect(server.ledger)) as ledger:
        found = ledger.execute(f"SELECT client_request_id, {', '.join(names)} FROM usage").fetchall()
    theirs = {key: values for key, *values in found}
    for row in rows:
        known = {name: row[name] for name in names if row[name] is not None}
        assert known.items() <= dict(zip(names, theirs[row["invocation_id"]], strict=True)).items()
    assert [row["destination_name"] for row in rows] == [
        "system.ai.databricks-gpt-5-4",
        "system.ai.databricks-gpt-5-4",
        None,
        "system.ai.databricks-gte-large-en",
    ]
    assert [row["service_name"] for row in rows] == [None, "system.ai.gpt-5-4", "main.default.support", None]


def test_event_ids_in_a_tag_reach_the_gateways_record(
    server: RunningGateway, open_client: Open, spool_dir: Path, gateway_record: GatewayRecord
) -> None:
    server.configure(faults=[{"match": "Lake 0 ", "status": 500, "times_per_prompt": 1}])
    with open_client(event_id_tag="gb.event") as client:
        client.query_many(MODEL, lakes(3), request_tags={"team": "search"})
        client.embed(VECTORS, ["a"])
    rows, theirs = sealed_rows(spool_dir), gateway_record()
    assert len(rows) == 3 + 1 + 1
    assert ours(rows) == theirs
    assert all(row["request_tags"]["gb.event"] == event_id for event_id, row in theirs.items())


def test_embeddings_packed_into_one_request_are_the_same_vectors(open_client: Open) -> None:
    client = open_client()
    assert client.embed(VECTORS, lakes(5)) == [client.embed(VECTORS, [lake])[0] for lake in lakes(5)]


def test_retries_and_failures_have_rows_that_agree(
    server: RunningGateway, open_client: Open, spool_dir: Path, gateway_record: GatewayRecord
) -> None:
    server.configure(
        faults=[
            {"match": "Lake 1 ", "status": 400},
            {"match": "Lake 2 ", "status": 500, "times_per_prompt": 2},
            {"match": "Lake 3 ", "status": 429, "times_per_prompt": 1, "retry_after": 0.2},
            {"match": "Lake 4 ", "policy": True},
            {"match": "Lake 5 ", "not_json": True, "times_per_prompt": 1},
            {"match": "Lake 6 ", "status": 503},
        ]
    )
    with open_client(max_attempts=3) as client:
        answers = client.query_many(MODEL, lakes(12), fail_on_error=False)
    failed = {place: answer.kind.value for place, answer in enumerate(answers) if isinstance(answer, CallError)}
    assert failed == {1: "bad_request", 4: "policy", 6: "server"}
    found = ours(sealed_rows(spool_dir))
    assert len(found) == 12 + 2 + 1 + 1 + 2
    assert found == gateway_record()


def test_a_request_that_was_cut_off_has_a_row_on_both_sides(
    server: RunningGateway, open_client: Open, spool_dir: Path, gateway_record: GatewayRecord
) -> None:
    server.configure(
        faults=[
            {"match": "Lake 0 ", "disconnect": True, "times_per_prompt": 1},
            {"match": "Lake 1 ", "truncate": True, "times_per_prompt": 1},
            {"match": "Lake 2 ", "latency_ms": 3_000, "times_per_prompt": 1},
        ]
    )
    with open_client(request_timeout=2) as client:
        client.query_many(MODEL, lakes(3))
    rows = sealed_rows(spool_dir)
    assert ours(rows).keys() == gateway_record().keys()
    cut = [row["client_metadata"] for row in rows if row["status_code"] is None]
    assert sorted((row["outcome"], row["error_kind"]) for row in cut) == [
        ("no_answer", "disconnect"),
        ("no_answer", "disconnect"),
        ("no_answer", "timeout"),
    ]


def test_a_cancelled_call_has_a_row_on_both_sides(
    server: RunningGateway, open_client: Open, spool_dir: Path, gateway_record: GatewayRecord
) -> None:
    server.configure(latency_ms=1_500)

    async def main() -> None:
        async with open_client() as client:
            call = asyncio.create_task(client.aquery(MODEL, "hi"))
            await asyncio.to_thread(wait_until_busy, server)
            call.cancel()
            await asyncio.wait([call])

    asyncio.run(main())
    (row,) = sealed_rows(spool_dir)
    assert (row["client_metadata"]["error_kind"], row["status_code"]) == ("cancelled", None)
    server.configure(latency_ms=None)
    assert ours([row]).keys() == gateway_record().keys()


def test_a_service_that_allows_few_requests_answers_all_the_same(
    server: RunningGateway, open_client: Open, spool_dir: Path, gateway_record: GatewayRecord
) -> None:
    server.configure(faults=[{"status": 429, "times": 8, "retry_after": 0.1}])
    with open_client(max_concurrency=16, max_attempts=1) as client:
        assert len(client.query_many(MODEL, lakes(30))) == 30
    rows = sealed_rows(spool_dir)
    assert [row["status_code"] for row in rows].count(429) == 8
    assert ours(rows) == gateway_record()
