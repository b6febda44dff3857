"""Answers of every API, damaged at random: a result or a CallError, never another exception.

Each adapter reads 4,000 of them, the same in every run, and nightly 100,000; with another FUZZ_SEED in the
environment, others.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from gateway_batch.apis import api_for
from gateway_batch.apis.reading import read_answer
from gateway_batch.errors import CallError
from gateway_batch.figures.tokens import MOST_TOKENS
from gateway_batch.types import HttpReply, InferenceResult

SEED = int(os.environ.get("FUZZ_SEED", "1"))
APIS = [
    "mlflow/v1/chat/completions",
    "openai/v1/responses",
    "anthropic/v1/messages",
    "gemini/v1/generateContent",
    "mlflow/v1/embeddings",
    "mlflow/v1/invocations",
]
STATUSES = [200] * 12 + [201, 204, 302, 400, 401, 429, 429, 500, 503, 529]
HEADERS: list[dict[str, str]] = [{}, {}, {"retry-after": "2"}, {"x-request-id": "r", "content-type": "text/html"}]

GOLDEN = [
    orjson.loads(path.read_bytes()) for path in sorted((Path(__file__).parents[1] / "golden/apis").glob("*.json"))
]
KEYS = sorted(
    {"retryDelay", "output_text", "refusal", "thought", "index", "error_code", "detail", "msg"}
    | {key for case in GOLDEN for key in case["reply"]["body"]}
)
VALUES: list[Any] = [None, True, False, 0, -1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e308]
VALUES += [math.nan, math.inf, -math.inf, "", "x", "x" * 3000, "3.5s", "9" * 400 + "s", "\0", "\ud800", "ä\udfff", "💥"]
VALUES += [[], {}, [[]], [{}], {"": None}, [None], [1, "a", None], {"type": "text", "text": None}, {"error": {}}]
VALUES += ["deny", "error", "length", "content_filter", "max_tokens", "MAX_TOKENS", "SAFETY", "refusal", "failed"]
TOKENS = [
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-",
    b"null",
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b"\xff\xfe",
    b"\x00",
    b"\n",
    b"\x7f",
]
TOKENS += [b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xc0\x80", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":"]
TOKENS += [b'"usage":1,"usage":{},', b'"choices":[],"choices":{},', b'"error":{"message":"m"},']
HUGE = [b"1" * 5_000, b"[" * 100_000, b'{"a":' * 2_000, b"[" * 1_000 + b"]" * 1_000]

Mutation = Callable[[Random, bytes], bytes]


def change_value(rng: Random, body: bytes) -> bytes:
    """One to three places of the JSON, each replaced, removed, renamed, doubled or wrapped."""
    root = {"root": orjson.loads(body)}
    for _ in range(rng.randint(1, 3)):
        change(rng, *place(rng, root))
    return json.dumps(root.get("root")).encode()


def place(rng: Random, holder: Any) -> tuple[Any, Any]:
    """A container and one of its keys, anywhere below the root."""
    key: Any = "root"
    while isinstance(inside := holder[key], dict | list) and inside and rng.random() < 0.85:
        holder, key = inside, rng.choice(list(inside)) if isinstance(inside, dict) else rng.randrange(len(inside))
    return holder, key


def any_value(rng: Random) -> Any:
    value = rng.choice(VALUES)
    return deepcopy(value) if isinstance(value, dict | list) else value


def change(rng: Random, holder: Any, key: Any) -> None:
    match rng.randrange(6):
        case 0 | 1:
            holder[key] = any_value(rng)
        case 2:
            holder[key] = [holder[key]] * rng.randint(0, 3)
        case 3:
            holder[key] = {rng.choice(KEYS): holder[key]}
        case 4 if key != "root":
            del holder[key]
        case _:
            value = any_value(rng)
            holder.append(value) if isinstance(holder, list) else holder.setdefault(rng.choice(KEYS), value)
    if not holder:
        holder.append(None) if isinstance(holder, list) else holder.setdefault("root", None)


def change_bytes(rng: Random, body: bytes) -> bytes:
    """One to four places of the text: bytes flipped, cut out, doubled, or something put between."""
    text = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.randint(0, 12))
        match rng.randrange(5):
            case 0:
                text[start:end] = rng.randbytes(end - start)
            case 1:
                del text[start:end]
            case 2:
                text[start:start] = text[start:end]
            case 3:
                text[start:start] = rng.choice(TOKENS if rng.random() < 0.99 else HUGE)
            case _:
                del text[start if rng.random() < 0.1 else len(text) :]
    return bytes(text)


def invent(rng: Random, body: bytes) -> bytes:
    """Random bytes, some of them in the middle of an answer."""
    noise = rng.randbytes(rng.randrange(40))
    return noise if rng.random() < 0.5 else body[: len(body) // 2] + noise + body[len(body) // 2 :]


MUTATIONS: list[Mutation] = [change_value, change_value, change_value, change_bytes, change_bytes, invent]


def bodies_for(api: str) -> list[bytes]:
    """The golden answers of an API's adapter, and one of each other."""
    adapter = api_for(api)
    ours = [case for case in GOLDEN if api_for(case["api"]) is adapter]
    others = {id(api_for(case["api"])): case for case in GOLDEN if api_for(case["api"]) is not adapter}
    return [orjson.dumps(case["reply"]["body"]) for case in [*ours, *others.values()]]


def check_outcome(api: str, reply: HttpReply) -> str:
    """Reads a reply; says which sort of outcome it was."""
    outcome: InferenceResult | CallError
    try:
        outcome = read_answer(api_for(api), reply)
    except CallError as error:
        outcome = error
    paid = outcome.paid if isinstance(outcome, CallError) else outcome
    counts = (paid.usage.input_tokens, paid.usage.output_tokens, paid.usage.total_tokens) if paid else ()
    assert all(count is None or 0 <= count <= MOST_TOKENS for count in counts)
    if not isinstance(outcome, CallError):
        assert reply.status < 300
        return "result"
    assert len(str(outcome)) < 2_000
    assert outcome.status == reply.status
    assert outcome.retry_after_s is None or 0 <= outcome.retry_after_s < math.inf
    return outcome.kind.value


@pytest.mark.parametrize("count", [4_000, pytest.param(100_000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("api", APIS)
def test_no_damage_to_an_answer_gets_past_the_adapter(api: str, count: int) -> None:
    rng = Random(f"{SEED} {api}")
    bodies = bodies_for(api)
    sorts: dict[str, int] = {}
    for number in range(count):
        body = rng.choice(MUTATIONS)(rng, rng.choice(bodies))
        reply = HttpReply(rng.choice(STATUSES), rng.choice(HEADERS), body, 1.8e9)
        try:
            sort = check_outcome(api, reply)
        except Exception as error:
            raise AssertionError(f"answer {number}: status {reply.status}, body {body[:500]!r}") from error
        sorts[sort] = sorts.get(sort, 0) + 1
    assert sorts["result"] > count / 50, "few answers are still read: the damage is too great to find much"
    assert sorts["invalid_response"] > count / 100
    assert sorts["not_json"] > count / 20


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("status", [200, 429])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b"[" * 900 + b"]" * 900,
        b"1" * 1_000_000,
        b'{"usage": %s}' % (b"9" * 100_000),
        b'{"usage": NaN, "usage": Infinity}',
        b'{"error": "\\ud800"}',
        b'{"error": {"message": "\xff"}}',
        b"\xef\xbb\xbf{}",
        b"\x00" * 1_000,
    ],
    ids=lambda body: repr(body[:12]) if isinstance(body, bytes) else None,
)
def test_the_worst_bodies_are_answered_too(api: str, status: int, body: bytes) -> None:
    assert check_outcome(api, HttpReply(status, {}, body)) != "result"
