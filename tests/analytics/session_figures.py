"""The sessions of coding agents, worked out apart from the views: in plain Python, from the same records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise

from tests.analytics.figure_parts import Figures, by, cached, costs, counted, distinct, grouped, tokens
from tests.analytics.record_figures import (
    Record,
    agent_of,
    day_of,
    detail,
    has_tokens,
    model_of,
    plain_input,
    session_field,
    source_of,
)


def named_sessions(rows: Sequence[Record]) -> Figures:
    return {"client_sessions": distinct(rows, session_field("client_session_id"))}


def _without_gaps(calls: list[Record], *, is_named: bool) -> list[list[Record]]:
    """Calls with no half an hour between one and the next, unless the caller says that they belong together."""
    calls.sort(key=lambda row: row["event_time"])
    sessions = [calls[:1]]
    for before, call in pairwise(calls):
        if not is_named and call["event_time"] - before["event_time"] > timedelta(minutes=30):
            sessions.append([])
        sessions[-1].append(call)
    return sessions


def session_parts_of(rows: Iterable[Record]) -> list[Figures]:
    """What each session has on each UTC day."""
    figures = []
    of_agents = [row for row in rows if agent_of(row) is not None]
    name_of, subagent_of = session_field("client_session_id"), session_field("client_subagent_id")
    for (day, agent, requester, name), calls in grouped(
        of_agents, lambda row: (day_of(row), agent_of(row), row["requester"], name_of(row))
    ).items():
        for part in [calls] if day is None else _without_gaps(calls, is_named=name is not None):
            requests = counted(part)
            alike = grouped(
                part,
                lambda row: (subagent_of(row), row["endpoint_name"], model_of(row), source_of(row), has_tokens(row)),
            )
            figures.append(
                {
                    "day": day,
                    "coding_agent": agent,
                    "requester": requester,
                    "client_session_id": name,
                    "started_at": part[0]["event_time"],
                    "ended_at": part[-1]["event_time"],
                    "invocations": len(part),
                    "requests": requests["requests"],
                    "failed_requests": requests["failed_requests"],
                    "tokens": [
                        dict(zip(TOKEN_KEYS, key, strict=True))
                        | {name: _sum(map(of, group)) for name, of in TOKEN_SUMS.items()}
                        for key, group in alike.items()
                    ],
                }
            )
    return figures


TOKEN_KEYS = ("client_subagent_id", "endpoint_name", "model", "source", "has_tokens")
TOKEN_SUMS: dict[str, Callable[[Record], int | None]] = {
    "input_tokens": lambda row: row["input_tokens"],
    "output_tokens": lambda row: row["output_tokens"],
    "total_tokens": lambda row: row["total_tokens"],
    "cache_read_input_tokens": lambda row: detail(row, "cache_read_input_tokens"),
    "cache_creation_input_tokens": lambda row: detail(row, "cache_creation_input_tokens"),
    "plain_input_tokens": plain_input,
}


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def sessions_of(rows: Iterable[Record]) -> list[Figures]:
    """Sessions of coding agents: those that callers name, and calls with no half an hour between one and the next."""
    figures = []
    timed = [row for row in rows if agent_of(row) is not None and row["event_time"] is not None]
    name_of = session_field("client_session_id")
    for (agent, requester, name), calls in grouped(
        timed, lambda row: (agent_of(row), row["requester"], name_of(row))
    ).items():
        for session in _without_gaps(calls, is_named=name is not None):
            began, ended = session[0]["event_time"], session[-1]["event_time"]
            requests = counted(session)
            figures.append(
                {
                    "coding_agent": agent,
                    "requester": requester,
                    "session_id": name if name is not None else f"gap-{int(began.timestamp())}",
                    "is_named": name is not None,
                    "day": day_of(session[0]),
                    "started_at": began,
                    "ended_at": ended,
                    "seconds": Fraction((ended - began) // timedelta(microseconds=1), 10**6),
                    "invocations": len(session),
                    "requests": requests["requests"],
                    "failed_requests": requests["failed_requests"],
                    "subagents": distinct(session, session_field("client_subagent_id")),
                    "models": distinct(session, model_of),
                    **tokens(session),
                    "cache_read_input_tokens": cached(session)["cache_read_input_tokens"],
                    **{name: figure for name, figure in costs(session).items() if name != "unpriced_invocations"},
                }
            )
    return figures


def sessions_of_days(rows: Iterable[Record], sessions: Iterable[Figures]) -> list[Figures]:
    begun = Counter((session["day"], session["coding_agent"]) for session in sessions)
    called = by(
        [row for row in rows if agent_of(row) is not None],
        {"day": day_of, "coding_agent": agent_of},
        named_sessions,
    )
    return [row | {"sessions_begun": begun[row["day"], row["coding_agent"]]} for row in called]


def most_expensive(sessions: Iterable[Figures]) -> list[Figures]:
    """The first thousand by what is known of their costs, free ones before unknown ones."""

    def place(session: Figures) -> tuple[object, ...]:
        cost = session["priced_cost_usd"]
        rest = (session["started_at"], session["coding_agent"], session["requester"] or "", session["session_id"])
        return (cost is None, -(cost or 0), *rest)

    return sorted(sessions, key=place)[:1000]
