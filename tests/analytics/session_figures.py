"""The sessions of coding agents, worked out apart from the views: in plain Python, from the same records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise

from tests.analytics.figure_parts import Figures, by, cached, costs, counted, distinct, grouped, tokens
from tests.analytics.record_figures import Record, agent_of, day_of, model_of, session_field


def named_sessions(rows: Sequence[Record]) -> Figures:
    return {"client_sessions": distinct(rows, session_field("client_session_id"))}


def sessions_of(rows: Iterable[Record]) -> list[Figures]:
    """Sessions of coding agents: those that callers name, and calls with no half an hour between one and the next."""
    figures = []
    timed = [row for row in rows if agent_of(row) is not None and row["event_time"] is not None]
    name_of = session_field("client_session_id")
    for (agent, requester, name), calls in grouped(
        timed, lambda row: (agent_of(row), row["requester"], name_of(row))
    ).items():
        calls.sort(key=lambda row: row["event_time"])
        sessions = [calls[:1]]
        for before, call in pairwise(calls):
            if name is None and call["event_time"] - before["event_time"] > timedelta(minutes=30):
                sessions.append([])
            sessions[-1].append(call)
        for session in sessions:
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
