"""The columns of calls: numpy draws them, pyarrow holds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gateway_batch.usage.arrow import SCHEMA
from tests.usage_days.workloads import (
    FAILURES,
    HOURS,
    JUDGE,
    POLICY_DENIED,
    REFUSED_BEFORE_ROUTING,
    UNKNOWN,
    Workload,
)

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NONE = -1
"""Stands for NULL among integers that are no less than 0."""

_ACCOUNT = "11d77e21-5e05-4c6b-9a5e-2f1f6a0d1c33"
_HOUR_US = 3_600_000_000
_KINDS = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 429: "rate_limited"}
_CODES = {400: "BAD_REQUEST", 429: "REQUEST_LIMIT_EXCEEDED", 500: "INTERNAL_ERROR", 503: "TEMPORARILY_UNAVAILABLE"}


@dataclass(frozen=True)
class Burst:
    """Minutes in which an endpoint refuses most calls with 429."""

    endpoint: str
    from_us: int
    to_us: int


def calls_of(
    workload: Workload, count: int, day_us: int, bursts: Iterable[Burst], rng: np.random.Generator
) -> pa.Table:
    """Calls of a workload on a day, one row each, not sorted."""
    shares = np.array(HOURS[workload.hours], dtype=float)
    hours = rng.choice(24, size=count, p=shares / shares.sum())
    times = day_us + hours * _HOUR_US + rng.integers(0, _HOUR_US // 1000, count) * 1000
    status = _statuses(workload, times, bursts, rng)
    denied = (status == 200) & (rng.random(count) < POLICY_DENIED) & bool(workload.input_tokens)
    return _table(workload, times, status, denied, rng, uuids(count, rng))


def with_fallbacks(calls: pa.Table, share: float, workload: Workload, rng: np.random.Generator) -> pa.Table:
    """Rows of destinations that failed before another one answered: the same request, an invocation of its own."""
    answered = np.flatnonzero(pc.equal(calls["status_code"], 200).to_numpy(zero_copy_only=False))
    chosen = rng.choice(answered, size=min(len(answered), round(share * len(calls))), replace=False)
    chosen.sort()
    first = calls.take(pa.array(chosen))
    times = first["event_time"].cast(pa.int64()).to_numpy()
    status = rng.choice(np.array([429, 503]), size=len(chosen))
    failed = _table(workload, times, status, np.zeros(len(chosen), bool), rng, first["request_id"].combine_chunks())
    for name in ("requester", "request_tags", "session_metadata", "user_agent", "url"):
        failed = failed.set_column(failed.schema.get_field_index(name), SCHEMA.field(name), first[name])
    return failed


def judged(calls: pa.Table, count: int, rng: np.random.Generator) -> pa.Table:
    """Rows of the guardrail's judge for some of the calls."""
    chosen = np.sort(rng.choice(len(calls), size=min(count, len(calls)), replace=False))
    of = calls.select(["event_time", "request_id", "requester", "requester_type", "workspace_id"]).take(
        pa.array(chosen)
    )
    times = of["event_time"].cast(pa.int64()).to_numpy() + 1000
    status = np.full(len(chosen), 200)
    rows = _table(JUDGE, times, status, np.zeros(len(chosen), bool), rng, of["request_id"].combine_chunks())
    for name in ("requester", "requester_type", "workspace_id"):
        rows = rows.set_column(rows.schema.get_field_index(name), SCHEMA.field(name), of[name])
    return rows


def uuids(count: int, rng: np.random.Generator) -> pa.Array:
    """Random UUIDs, as texts."""
    data = rng.integers(0, 256, size=(count, 16), dtype=np.uint8)
    data[:, 6] = (data[:, 6] & 0x0F) | 0x40
    data[:, 8] = (data[:, 8] & 0x3F) | 0x80
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    text = np.full((count, 36), ord("-"), dtype=np.uint8)
    places = [place for place in range(36) if place not in (8, 13, 18, 23)]
    text[:, places[0::2]], text[:, places[1::2]] = digits[data >> 4], digits[data & 15]
    offsets = np.arange(0, 36 * count + 1, 36, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(text)])


def _statuses(workload: Workload, times: Ints, bursts: Iterable[Burst], rng: np.random.Generator) -> Ints:
    shares = np.array(list(FAILURES.values())) * workload.failing
    unknown = UNKNOWN if workload.records_itself else 0.0
    codes = np.array([*FAILURES, NONE, 200])
    status = rng.choice(codes, size=len(times), p=[*shares, unknown, 1 - shares.sum() - unknown])
    for burst in bursts:
        if burst.endpoint == workload.endpoint:
            hit = (times >= burst.from_us) & (times < burst.to_us) & (rng.random(len(times)) < 0.7)
            status[hit] = 429
    return status


def _table(
    workload: Workload, times: Ints, status: Ints, denied: Bools, rng: np.random.Generator, request_ids: pa.Array
) -> pa.Table:
    count = len(times)
    good, routed = status == 200, ~np.isin(status, REFUSED_BEFORE_ROUTING)
    given, answered, details = _tokens(workload, good, denied, rng)
    first_ms, latency_ms = _latencies(workload, status, answered, rng)
    columns = {
        **_identity(workload, count, rng),
        **_destination(workload, routed, rng),
        "request_id": request_ids,
        "invocation_id": uuids(count, rng),
        "schema_version": pa.array(np.full(count, 1, np.int32)),
        "event_time": pa.array(times).cast(pa.timestamp("us", tz="UTC")),
        "latency_ms": _with_nulls(latency_ms),
        "time_to_first_byte_ms": _with_nulls(np.where(good, first_ms, NONE)),
        "input_tokens": _with_nulls(given),
        "output_tokens": _with_nulls(answered),
        "total_tokens": _with_nulls(np.where(given == NONE, NONE, given + answered)),
        "token_details": details,
        "status_code": _with_nulls(status).cast(pa.int32()),
        "response_content_type": _pick([None, "application/json"], (status != NONE).astype(np.int64)),
        "routing_information": _routing(workload, times, status, latency_ms, routed),
        "mcp_metadata": _mcp(workload, count, rng),
        "session_metadata": _sessions(workload, times, rng),
        "client_metadata": _client(workload, status, rng),
    }
    return pa.table([_column(name, columns.get(name), count) for name in SCHEMA.names], schema=SCHEMA)


def _column(name: str, values: pa.Array | None, count: int) -> pa.Array:
    wanted = SCHEMA.field(name).type
    if values is None:
        return pa.nulls(count, wanted)
    return values if values.type == wanted else values.cast(wanted)


def _identity(workload: Workload, count: int, rng: np.random.Generator) -> dict[str, pa.Array]:
    """Who called what, and how."""
    names = [f"{workload.name.split('-')[0]}.{number}@example.com" for number in range(workload.people)]
    principal = "6c1f3b1e-0d1c-4e0e-9a53-" + workload.name.encode().hex()[:12].ljust(12, "0")
    likely = 1 / np.arange(1, max(len(names), 1) + 1)
    who = rng.choice(max(len(names), 1), size=count, p=likely / likely.sum())
    is_tool = bool(workload.tools)
    path = f"mcp-services/{workload.service_name}" if is_tool else workload.api_type or "mlflow/v1/chat/completions"
    return {
        "account_id": _same(_ACCOUNT, count),
        "workspace_id": _same(workload.workspace, count),
        "endpoint_id": _same("e-" + workload.endpoint, count),
        "endpoint_name": _same(workload.endpoint, count),
        "endpoint_tags": _same(list(workload.endpoint_tags.items()), count, SCHEMA.field("endpoint_tags").type),
        "endpoint_metadata": _same(_metadata(workload), count, SCHEMA.field("endpoint_metadata").type),
        "requester": _pick(names or [principal], who),
        "requester_type": _same("USER" if names else "SERVICE_PRINCIPAL", count),
        "ip_address": _pick([f"203.0.113.{number}" for number in range(64)], rng.integers(0, 64, count)),
        "url": _same(f"https://example.cloud.databricks.com/ai-gateway/{path}", count),
        "user_agent": _same(workload.user_agent, count),
        "api_type": _same(workload.api_type, count, pa.string()),
        "request_tags": _pick(
            [list(tags.items()) for tags in workload.tags],
            rng.integers(0, len(workload.tags), count),
            SCHEMA.field("request_tags").type,
        ),
        "service_type": _same("MCP_SERVICE" if is_tool else "MODEL_SERVICE", count),
        "service_name": _same(workload.service_name, count, pa.string()),
        "service_tags": _same([], count, SCHEMA.field("service_tags").type),
        "invocation_metadata": _same({"source": workload.source}, count, SCHEMA.field("invocation_metadata").type),
        "auth_mode": _same("PAT" if workload.people else "OAUTH", count),
    }


def _metadata(workload: Workload) -> dict[str, Any] | None:
    """How a service of the users' own is configured; NULL for what Databricks provides."""
    if not workload.endpoint.startswith("main."):
        return None
    made, name = datetime(2026, 5, 4, 9, 30, tzinfo=UTC), f"system.ai.{workload.endpoint}"
    to = [{"name": name, "destination_type": workload.destination_type, "traffic_percentage": 100}]
    return {"creator": "ana@example.com", "creation_time": made, "last_updated_time": made, "destinations": to}


def _destination(workload: Workload, routed: Bools, rng: np.random.Generator) -> dict[str, pa.Array]:
    """NULL where a call was refused before it was routed, and for tools."""
    count = len(routed)
    is_known = routed if workload.models else np.zeros(count, bool)
    model = np.where(is_known, rng.integers(0, max(len(workload.models), 1), count) + 1, 0)
    name = "system.ai." + workload.endpoint.removeprefix("system.ai.")
    return {
        "destination_type": _pick([None, workload.destination_type], is_known.astype(np.int64), pa.string()),
        "destination_name": _pick([None, name], is_known.astype(np.int64)),
        "destination_id": _pick([None, "d-" + name], is_known.astype(np.int64)),
        "destination_model": _pick([None, *workload.models], model, pa.string()),
    }


def _tokens(
    workload: Workload, good: Bools, denied: Bools, rng: np.random.Generator
) -> tuple[Ints, Ints, pa.StructArray]:
    """Input and output tokens, and their details; `NONE` for failed calls and those of tools."""
    count, type_ = len(good), SCHEMA.field("token_details").type
    if workload.tools:
        nothing = np.full(count, NONE)
        return nothing, nothing, pa.nulls(count, type_)
    given = np.maximum(1, rng.lognormal(np.log(workload.input_tokens), 0.8, count)).astype(np.int64)
    answered = np.zeros(count, np.int64)
    if workload.output_tokens:
        answered = np.maximum(1, rng.lognormal(np.log(workload.output_tokens), 0.9, count)).astype(np.int64)
    is_hit = rng.random(count) < workload.cached
    read = np.where(is_hit, (given * rng.uniform(0.5, 1.0, count)).astype(np.int64), 0)
    made = np.where(~is_hit & (rng.random(count) < workload.cached), given // 2, 0)
    thought = (answered * workload.reasoning * rng.random(count)).astype(np.int64)
    for numbers in (given, answered, read, made, thought):
        numbers[denied] = 0
    has_details = good & bool(workload.cached or workload.reasoning)
    parts = [pa.array(numbers, mask=~has_details) for numbers in (read, made, thought)]
    details = pa.StructArray.from_arrays(parts, fields=list(type_), mask=pa.array(~has_details))
    return np.where(good, given, NONE), np.where(good, answered, NONE), details


def _latencies(workload: Workload, status: Ints, answered: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Milliseconds to the first byte and to the end; `NONE` where there was no answer."""
    count = len(status)
    first = rng.lognormal(np.log(workload.first_byte_ms), 0.45, count)
    slow = np.where(rng.random(count) < 0.01, 4.0, 1.0)  # a tail that a lognormal lacks
    whole = (first + np.maximum(answered, 0) * workload.token_ms * rng.lognormal(0, 0.2, count)) * slow
    whole = np.where(np.isin(status, (400, 401, 403, 404, 429)), rng.uniform(4, 40, count), whole)
    whole = np.where(status == 504, rng.uniform(60_000, 61_000, count), whole)
    end = np.maximum(1, whole).astype(np.int64)
    return np.minimum(first.astype(np.int64), end), np.where(status == NONE, NONE, end)


def _routing(workload: Workload, times: Ints, status: Ints, latency_ms: Ints, routed: Bools) -> pa.Array:
    """One attempt for a call that was routed, none for others; NULL for tools and for clients' own records."""
    count, type_ = len(times), SCHEMA.field("routing_information").type
    if workload.tools or workload.records_itself:
        return pa.nulls(count, type_)
    at = np.flatnonzero(routed)
    begun, took = times[at], np.maximum(latency_ms[at], 0)
    codes = [_CODES.get(code) for code in FAILURES]
    place = {code: number + 1 for number, code in enumerate(FAILURES)}
    error = np.vectorize(lambda code: place.get(code, 0), otypes=[np.int64])(status[at])
    each = type_.field("attempts").type.value_type
    parts = {
        "priority": pa.array(np.zeros(len(at), np.int32)),
        "action": _same("INITIAL_ATTEMPT", len(at)),
        "destination": _same("system.ai." + workload.endpoint.removeprefix("system.ai."), len(at)),
        "destination_id": pa.nulls(len(at), pa.string()),
        "status_code": _with_nulls(status[at]).cast(pa.int32()),
        "error_code": _pick([None, *codes], error, pa.string()),
        "latency_ms": pa.array(took),
        "start_time": pa.array(begun).cast(pa.timestamp("us", tz="UTC")),
        "end_time": pa.array(begun + took * 1000).cast(pa.timestamp("us", tz="UTC")),
    }
    items = pa.StructArray.from_arrays([parts[field.name] for field in each], fields=list(each))
    offsets = pa.array(np.concatenate([[0], np.cumsum(routed)]).astype(np.int32))
    attempts = pa.ListArray.from_arrays(offsets, items, type=type_.field("attempts").type)
    return pa.StructArray.from_arrays([attempts], fields=list(type_))


def _mcp(workload: Workload, count: int, rng: np.random.Generator) -> pa.Array | None:
    if not workload.tools:
        return None
    calls: list[dict[str, str | None]] = [
        {"tool_name": tool, "server_type": "EXTERNAL", "json_rpc_method": "tools/call"} for tool in workload.tools
    ]
    calls.append({"tool_name": None, "server_type": "EXTERNAL", "json_rpc_method": "tools/list"})
    return _pick(calls, rng.integers(0, len(calls), count), SCHEMA.field("mcp_metadata").type)


def _sessions(workload: Workload, times: Ints, rng: np.random.Generator) -> pa.Array | None:
    """Some hundred sessions of a workload, day and draw, a few with long names; none for workloads without."""
    if not workload.has_session:
        return None
    sessions: list[dict[str, str | None]] = [
        {
            "client_session_id": session + " and on" * 50 if number % 7 == 1 else session,
            "client_subagent_id": f"{session}/1" if number % 4 == 0 else None,
            "coding_agent": workload.agent or None,
            "agent_version": "2.1.3" if workload.agent else None,
            "surface": "cli" if workload.agent else None,
            "reasoning_effort": "medium" if workload.reasoning else None,
            "smart_router_name": (*workload.routers, None)[number % (len(workload.routers) + 1)],
        }
        for number, session in enumerate(uuids(min(200, 1 + len(times) // 20), rng).to_pylist())
    ]
    return _pick(sessions, rng.integers(0, len(sessions), len(times)), SCHEMA.field("session_metadata").type)


def _client(workload: Workload, status: Ints, rng: np.random.Generator) -> pa.Array:
    """What our client records; NULL for the others' rows."""
    count, type_ = len(status), SCHEMA.field("client_metadata").type
    if not workload.records_itself:
        return pa.nulls(count, type_)
    kinds = [None, *(_KINDS.get(code, "server_error") for code in FAILURES)]
    place = {code: number + 1 for number, code in enumerate(FAILURES)}
    codes = np.vectorize(lambda code: place.get(code, 0), otypes=[np.int64])(status)
    parts = {
        "event_id": uuids(count, rng),
        "outcome": _pick(["answered", "unknown"], (status == NONE).astype(np.int64)),
        "error_kind": _pick(kinds, codes, pa.string()),
        "attempt": pa.array(np.ones(count, np.int32)),
        "token_source": _pick([None, "provider"], (status == 200).astype(np.int64)),
    }
    filled = [parts.get(field.name, pa.nulls(count, field.type)) for field in type_]
    return pa.StructArray.from_arrays(filled, fields=list(type_))


def _same(value: Any, count: int, type_: pa.DataType | None = None) -> pa.Array:
    return _pick([value], np.zeros(count, np.int64), type_)


def _pick(values: Sequence[Any], codes: npt.NDArray[np.integer[Any]], type_: pa.DataType | None = None) -> pa.Array:
    return pa.array(values, type_).take(pa.array(codes))


def _with_nulls(numbers: Ints) -> pa.Array:
    return pa.array(numbers.astype(np.int64), mask=numbers == NONE)
