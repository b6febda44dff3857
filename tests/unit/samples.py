"""Values that many tests start from, and the reading side of a spool folder."""

from __future__ import annotations

import contextlib
import resource
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from gateway_batch.types import HttpReply, Service
from gateway_batch.usage.attempts import Caller, Intents
from gateway_batch.usage.record import UsageRecord, columns
from gateway_batch.usage.segment import Kind, read_lines
from gateway_batch.usage.spool import SpoolWriter, active_dir, sealed_dir, sealed_segments

CHAT = Service(
    endpoint="chat",
    api="mlflow/v1/chat/completions",
    url="https://host/ai-gateway/mlflow/v1/chat/completions",
    model="databricks-gpt-5-4",
)
CALLER = Caller(source="AI_QUERY", user_agent="tests", requester="ana@example.com", stage_id=3, partition_id=7)


def reply(status: int, body: object, **headers: str) -> HttpReply:
    """An answer with a JSON body; underscores of header names stand for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpReply(status, {"content-type": "application/json", **named}, orjson.dumps(body), 1_000_000.0)


def chat_reply(text: str, **headers: str) -> HttpReply:
    """A chat model's plain answer."""
    body = {
        "model": "gpt-5.4-2026",
        "choices": [{"message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15},
    }
    return reply(200, body, **headers)


def record(event_id: str) -> UsageRecord:
    """The intent of an attempt."""
    return Intents().record(CALLER, CHAT, {"team": "search"}, event_id=event_id, attempt=1, now=1_700_000_000.25)


def answered(event_id: str) -> UsageRecord:
    """The outcome of an attempt."""
    outcome = record(event_id)
    assert outcome.client_metadata is not None
    outcome.client_metadata.outcome = "answered"
    outcome.status_code = 200
    return outcome


def never(function: Callable[[], None]) -> None:
    """A spool writer's `defer` that runs nothing: outcomes wait for the next intent or seal."""


def open_writer(spool_dir: Path) -> SpoolWriter:
    """A writer whose outcomes are written with the next intent or seal."""
    return SpoolWriter(spool_dir, defer=never)


def rows_of_lines(outcomes: Iterable[bytes]) -> list[dict[str, Any]]:
    """The records on outcome lines, columns that are NULL put back."""
    empty = dict.fromkeys(name for name, _ in columns(UsageRecord))
    return [empty | orjson.loads(line[11:]) for line in outcomes]


def rows_in(paths: list[Path]) -> list[dict[str, Any]]:
    """The outcomes of segments."""
    return rows_of_lines(line for path in paths for kind, line in read_lines(path) if kind is Kind.OUTCOME)


def sealed_rows(spool_dir: Path) -> list[dict[str, Any]]:
    """The rows that wait for the drain; each segment's name must say how many it has."""
    segments = sealed_segments(spool_dir)
    for path, name in segments:
        assert (len(rows_in([path])), path.stat().st_size) == (name.rows, name.size), path.name
    return rows_in([path for path, _ in segments])


def active_segments(spool_dir: Path) -> list[Path]:
    """Segments being written."""
    return sorted(active_dir(spool_dir).glob("*/*.log"))


def outcomes(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """All outcomes of each event id."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[row["client_metadata"]["event_id"]].append(row["client_metadata"]["outcome"])
    return dict(found)


@contextlib.contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """Writes past `size` bytes fail, and those across it are short: what a full disk does, to this process only."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


OF_A_KILLED_WRITER = {"a": ["answered"], "late": ["answered"], "moved": ["unknown"], "b": ["unknown"]}


def killed_writer(tmp_path: Path, spool: Path) -> Path:
    """A spool with the folder of a writer that was killed between opening a segment and moving the one before it.

    Its segments: 0 with `a` answered, `moved` and `late` pending; 1 with both of them again, `late` answered since,
    and `b` pending; 2 with nothing but the pending ones.
    """
    writer = open_writer(spool)
    for name in ("a", "moved", "late"):
        writer.intend(record(name))
    writer.settle(answered("a"))
    writer.seal()
    writer.settle(answered("late"))
    writer.intend(record("b"))
    writer.seal()
    (folder,) = active_dir(spool).iterdir()
    killed = tmp_path / "killed"
    shutil.copytree(spool, killed)
    for path in sealed_dir(killed).iterdir():
        number = path.name.removeprefix(f"{folder.name}-").partition(".")[0]
        path.rename(active_dir(killed) / folder.name / f"{number}.log")
    writer.close()
    return killed
