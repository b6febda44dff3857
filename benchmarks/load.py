"""What both sides of a comparison send."""

from __future__ import annotations

import json
from dataclasses import dataclass

from benchmarks.latency import Latency

MODEL = "bench-model"
PATH = "/ai-gateway/mlflow/v1/chat/completions"
TOKEN = "dapi" + "0123456789abcdef" * 2
"""As long as Databricks' are: what a token may be part of is searched for it."""

_TEXT = (
    "A customer writes: the parcel came on Tuesday with a torn corner, the lamp inside works, but its shade has a dent "
    "the size of a coin. I don't want to send it back, as it is a birthday present for Saturday, yet I paid the full "
    "price. What can you offer me? Answer in one friendly sentence, and name the amount that we refund."
)


@dataclass(frozen=True, slots=True)
class Load:
    """One run's load.

    Attributes:
        rows: requests in all.
        in_flight: requests under way at once, at most.
        latency: what the server lets each request wait.
    """

    rows: int
    in_flight: int
    latency: Latency

    @property
    def limit(self) -> float:
        """Rows a second that no client can exceed: in flight over the mean latency."""
        return self.in_flight / self.latency.mean_s(self.rows)

    def __str__(self) -> str:
        return f"{self.rows:,} rows, {self.in_flight} in flight, {self.latency}"


def prompt_sql(number: str) -> str:
    """SQL for the prompt of a row; `number` is a SQL expression. About 350 characters, no two the same."""
    text = _TEXT.replace("'", "''")
    return f"concat('Letter ', lpad({number}, 8, '0'), '. {text}')"


def prompt(number: int) -> str:
    """The same prompt in Python."""
    return f"Letter {number:08d}. {_TEXT}"


def body(number: int) -> bytes:
    """The request of that prompt, as `ai_query` sends it."""
    message = {"role": "user", "content": prompt(number)}
    return json.dumps({"model": MODEL, "messages": [message]}, separators=(",", ":")).encode()
