"""Usage tables for tests of the views, and how a view's rows are compared with figures worked out apart."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from gateway_batch.spark.analytics.view_files import View, read_views
from gateway_batch.spark.analytics.views import READ_COLUMNS
from gateway_batch.spark.ledger.usage_table import usage_ddl
from gateway_batch.usage.arrow import SCHEMA
from gateway_batch.usage.price_row import PriceRecord
from gateway_batch.usage.record import MIRRORED_COLUMNS
from tests.analytics.figure_parts import Figures
from tests.analytics.record_figures import Record, with_possible_tokens
from tests.analytics.view_figures import figures_of
from tests.usage_days import usage_days, write_delta

ROWS = int(os.environ.get("USAGE_VIEWS_ROWS", "6000"))
FIRST, DAYS = date(2026, 8, 3), 60
VIEWS = [view.name for view in read_views()]
COMMENTS = {
    view.name: {
        name: text.replace("\\'", "'") for name, text in re.findall(r"^  (\w+) COMMENT '(.+)'(?:,|$)", view.text, re.M)
    }
    for view in read_views()
}
"""What each view's file says of its columns, in order."""
WITHOUT_KEY = {"usage_cells", "usage_costs", "usage_distributions", "usage_session_parts"}
"""Views whose rows no column tells apart; without an aggregate most have one for each row of the table."""
BASE = ("usage_invocations", *sorted(WITHOUT_KEY))
"""The views that all others are made of."""
KEYS = {
    "day", "hour", "endpoint_name", "model", "workspace_id", "requester", "tag_key", "tag_value", "status_code",
    "mcp_server_type", "mcp_method", "mcp_tool", "coding_agent", "is_subagent", "agent_framework", "smart_router",
    "session_id",
}  # fmt: skip
MID = datetime(2026, 8, 6, 11, 30, tzinfo=UTC)


def price(model: str | None, given: str | None, answered: str | None, **rest: Any) -> PriceRecord:
    """A price of our own; dollars as text."""
    usd = {"input": given, "output": answered}
    usd |= {name: rest.pop(name, None) for name in ("cache_read", "cache_creation")}
    known: dict[str, Any] = {f"{name}_usd_per_million": Decimal(text) for name, text in usd.items() if text is not None}
    common = {"valid_from": datetime(2026, 1, 1, tzinfo=UTC), "added_at": MID, "source": "ours"}
    return PriceRecord(model=model, **known, **{**common, **rest})


OWN_PRICES = [
    price("llama-3-3-70b", "0.5", "1.5", source="old", added_at=datetime(2026, 1, 1, tzinfo=UTC)),
    price("llama-3-3-70b", "0.55", "1.65"),
    price("llama-3-3-70b", "0.7", "1.9", valid_from=MID),
    price("llama-4-maverick", "0.2", "0.2", valid_to=MID),
    price("gte-large-en", "0.013", "0"),
    price("claude-opus-4-6", "4.5", "20", endpoint_name="main.ai.coding", cache_read="0.45", cache_creation="5.9"),
    price(None, "3.333333", "0.000001", endpoint_name="databricks-gpt-5-4", valid_from=MID),
    price("gpt-oss-20b", None, None, endpoint_name="databricks-gpt-oss-20b"),
    price(None, "9", "9", valid_from=MID, valid_to=datetime(2026, 8, 1, tzinfo=UTC), endpoint_name="risk-llm"),
    price(None, "7", "7"),
]
"""Of an endpoint, of a model, of both; changed, ended, entered twice, unknown, never valid, and of nothing at all."""


@dataclass(frozen=True)
class Usage:
    """A usage table, and the views of it.

    Attributes:
        schema: of the views.
        table: its name.
        folder: its files.
        rows: what it has.
    """

    spark: SparkSession
    schema: str
    table: str
    folder: Path
    rows: pa.Table
    _frames: dict[str, DataFrame] = field(default_factory=dict)
    _views: dict[str, pa.Table] = field(default_factory=dict)
    _wanted: dict[str, list[Figures]] = field(default_factory=dict)

    def frame(self, view: str) -> DataFrame:
        """A view, planned once."""
        if view not in self._frames:
            self._frames[view] = self.spark.table(f"{self.schema}.{view}")
        return self._frames[view]

    def view(self, view: str) -> pa.Table:
        """A view's rows, read once."""
        if view not in self._views:
            self._views[view] = self.frame(view).toArrow()
        return self._views[view]

    def wanted(self, view: str) -> list[Figures]:
        """A view's rows as they are worked out apart."""
        if view not in self._wanted:
            self._wanted[view] = self._figures[view]()
        return self._wanted[view]

    @cached_property
    def _figures(self) -> dict[str, Callable[[], list[Figures]]]:
        return figures_of(records(self.rows), rows_of(self.spark, f"{self.schema}.prices"))


def generated_and_odd() -> list[pa.Table]:
    """Generated days, fifteen to a file, and the odd rows, with exactly the columns of Databricks' own table."""
    days = list(usage_days(ROWS, DAYS, client_metadata=False))
    return [*(pa.concat_tables(days[at : at + 15]) for at in range(0, DAYS, 15)), odd_rows().select(MIRRORED_COLUMNS)]


def make(spark: SparkSession, table: str, tables: Iterable[pa.Table]) -> Path:
    """Makes a usage table of some rows, where the session's tables are, and its schema; returns its folder."""
    schema, _, name = table.partition(".")
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    folder = Path(unquote(urlsplit(spark.catalog.getDatabase(schema).locationUri).path)) / name
    write_delta(tables, folder)
    spark.sql(f"CREATE TABLE {table} USING DELTA LOCATION '{folder}'")
    return folder


def add_prices(spark: SparkSession, schema: str, prices: list[PriceRecord]) -> None:
    spark.createDataFrame([astuple(each) for each in prices], usage_ddl(PriceRecord)).writeTo(
        f"{schema}.prices"
    ).append()


@contextmanager
def only_views(*names: str) -> Iterator[None]:
    """Lets the package make these views and no others, for tests that read no others."""

    def some(folder: str = "views") -> list[View]:
        return [view for view in read_views(folder) if view.name in names]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway_batch.spark.analytics.views.read_views", some)
        yield


@contextmanager
def kept_in_memory(spark: SparkSession, schema: str) -> Iterator[None]:
    """Keeps the rows of the views that all others are made of, which need not be planned down to the table then."""
    views = [f"{schema}.{view}" for view in BASE]
    for view in views:
        spark.catalog.cacheTable(view)
    yield
    for view in views:
        spark.catalog.uncacheTable(view)


def rows_of(spark: SparkSession, table: str) -> list[Record]:
    rows: list[Record] = spark.table(table).toArrow().to_pylist()
    return rows


def records(table: pa.Table) -> list[Record]:
    return [with_possible_tokens(row) for row in table.select(READ_COLUMNS).to_pylist()]


def assert_same(view: str, found: list[Record], wanted: list[Figures], *, nearly_before: date = date.min) -> None:
    """The same rows, and in them the same figures; percentiles of the days before one are near."""
    assert len(found) == len(wanted)
    if view in WITHOUT_KEY:
        names = list(COMMENTS[view])
        assert list(found[0]) == names if found else not wanted
        assert Counter(canonical(row, names) for row in found) == Counter(canonical(row, names) for row in wanted)
        return
    columns = list(COMMENTS[view])
    keys = ["invocation_id"] if "invocation_id" in columns else [name for name in columns if name in KEYS]

    def key(row: Record) -> tuple[Any, ...]:
        return tuple(row[name] for name in keys)

    by_key = {key(row): row for row in wanted}
    assert len(by_key) == len(wanted)
    for row in found:
        assert list(row) == columns
        other = by_key[key(row)]
        nearly = bool(row.get("day")) and row["day"] < nearly_before
        wrong = {
            name: (row[name], other[name]) for name in columns if not is_same(name, row[name], other[name], nearly)
        }
        assert not wrong, key(row)


def canonical(row: Record, names: Iterable[str]) -> tuple[str, ...]:
    """A row of a view that has no key, to be counted."""
    return tuple(
        repr(row[name].normalize() if isinstance(row[name], Decimal) else sorted(row[name] or [], key=repr))
        if isinstance(row[name], Decimal | list)
        else repr(row[name])
        for name in names
    )


def is_same(name: str, found: Any, wanted: Any, nearly: bool = False) -> bool:
    """Equal; a double as near to an exact fraction as a few roundings leave it, a percentile's place among them.

    Percentiles may be `nearly` right: within 2% or a millisecond.
    """
    if isinstance(wanted, Fraction):
        of_times = {"rel_tol": 0.02, "abs_tol": 1.0} if nearly else {"abs_tol": 1e-5}
        off = of_times if name.endswith("_ms") else {"rel_tol": 1e-14, "abs_tol": 0.0}
        return isinstance(found, float) and math.isclose(found, wanted, **off)
    return type(found) is type(wanted) and bool(found == wanted)


def one(**columns: Any) -> pa.Table:
    row = {name: None for name in SCHEMA.names} | {"event_time": datetime(2026, 8, 3, 23, 59, 59, tzinfo=UTC)} | columns
    return pa.Table.from_pylist([row], schema=SCHEMA)


ODD = {
    "one_row": [one(request_id="r", invocation_id="i", requester="ana", status_code=200, input_tokens=3)],
    "no_time": [one(event_time=None, request_id="no time", requester="ana", user_agent="codex", status_code=200)],
    "nothing": [one(event_time=None)],
    "far_future": [
        one(request_id="y9999", event_time=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), requester="a"),
        one(request_id="y2100", event_time=datetime(2100, 1, 1, tzinfo=UTC), requester="b"),
    ],
    "unknown_lately": [
        one(request_id="u1", event_time=datetime(2026, 9, 20, 7, tzinfo=UTC), endpoint_name="databricks-gpt-5-4"),
        one(request_id="u2", event_time=datetime(2026, 9, 21, 8, tzinfo=UTC), endpoint_name="main.ai.coding"),
    ],
    "before_1970": [one(request_id="y1969", event_time=datetime(1969, 12, 31, 23, 30, tzinfo=UTC))],
    "many_statuses": [
        one(request_id=request, status_code=status, latency_ms=number)
        for number, (request, status) in enumerate(
            [("a", 200), ("a", 503), ("b", None), ("b", 200), ("c", None), ("c", None), ("d", 404), (None, 500)]
        )
    ],
    "odd_tags": [
        one(request_id="t1", request_tags=[('it\'s "quoted" `so` \\ 🧾', "größe\n"), ("", "")]),
        one(request_id="t1", request_tags=[]),
        one(request_id="t2", request_tags=[("null value", None)]),
    ],
    "large_tokens": [
        one(request_id="large", destination_model="gpt-5.4", input_tokens=tokens) for tokens in (0, 10**8, 10**14)
    ],
    "impossible_tokens": [
        one(
            request_id=f"impossible {tokens}",
            destination_model="gpt-5.4",
            input_tokens=tokens,
            output_tokens=5,
            total_tokens=tokens,
            token_details={"cache_read_input_tokens": tokens, "output_reasoning_tokens": tokens},
        )
        for tokens in (10**8 + 1, 2**63 - 1, 2**63 - 1, -1)
    ],
    "odd_models": [
        one(request_id=name, destination_model=name)
        for name in ("System.AI.databricks-Llama_4  Maverick", " GPT 5.4 ", "databricks-", "", "a.b.", "系统 模型")
    ],
    "past_midnight": [
        one(
            event_time=datetime(2026, 9, 2, tzinfo=UTC) + timedelta(minutes=minutes),
            user_agent="codex",
            requester="ana",
            request_id=request,
            session_metadata={"client_session_id": session, "client_subagent_id": subagent},
            destination_model="llama-3.3-70b",
            status_code=status,
            input_tokens=1000,
        )
        for minutes, request, session, subagent, status in [
            (-61, "alone", None, None, 200),
            (-30, "m1", None, "s1", 200),
            (-1, "m2", None, "s1", 500),
            (0, "m2", None, "s2", 200),
            (1, "m2", None, "s2", 404),
            (31, "m3", None, "s1", None),
            (62, None, None, None, 200),
            (-600, "n1", "named", "s1", 200),
            (-1, "n1", "named", None, 200),
            (900, "n1", "named", "s1", 503),
        ]
    ],
    "empty_structs": [
        one(request_id="e1", mcp_metadata={}, session_metadata={}, token_details={}),
        one(request_id="e2", mcp_metadata={"json_rpc_method": "tools/list"}),
        one(request_id="e3", mcp_metadata={"tool_name": "x"}, service_type="MODEL_SERVICE"),
        one(request_id="e4", session_metadata={"coding_agent": "zed"}, user_agent="zed/1"),
    ],
}


def odd_rows() -> pa.Table:
    """All odd rows, each an invocation of its own."""
    rows = pa.concat_tables([table for tables in ODD.values() for table in tables])
    return with_texts(rows, "invocation_id", [f"odd {number}" for number in range(len(rows))])


def with_texts(rows: pa.Table, column: str, texts: list[str]) -> pa.Table:
    """Rows with other texts in a column."""
    return rows.set_column(rows.schema.get_field_index(column), SCHEMA.field(column), pa.array(texts, pa.string()))
