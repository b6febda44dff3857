"""Renders the files of `sql/` from `sql/templates`. `--check` writes nothing and fails if a file is out of date.

A template has its file's path and name, with `.jinja` at the end; `macros` holds what several templates share. Figures
and dimensions come from `gateway_batch.figures`. The rendered files keep `{schema}` and similar placeholders, which the
package fills in when it makes a view.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gateway_batch.figures import (
    callers,
    cells,
    costs,
    definitions,
    dialects,
    dimensions,
    outcomes,
    percentiles,
    price_days,
    sessions,
    tokens,
)
from gateway_batch.figures.definitions import FIGURES, Percentile, Ratio, Relation
from gateway_batch.figures.dimensions import Column
from gateway_batch.spark.analytics.view_files import MARK
from gateway_batch.spark.session.sql_text import literal

SQL = Path(__file__).parent.parent / "sql"
TEMPLATES = SQL / "templates"

_ENDING = ".jinja"
_MODULES = (
    callers, cells, costs, definitions, dimensions, outcomes, percentiles, price_days, sessions, tokens,
)  # fmt: skip

OUTCOMES = ["requests", "failed_requests", "unknown_requests", "error_rate"]
TOKENS = ["input_tokens", "output_tokens", "total_tokens"]
CACHE = ["cache_read_input_tokens", "cache_hit_ratio"]
COSTS = ["cost_usd", "priced_cost_usd", "unpriced_invocations", "unpriced_tokens"]
PERCENTILES = [name for name, figure in FIGURES.items() if isinstance(figure.computed, Percentile)]


def rendered() -> dict[Path, str]:
    """The text of every file that has a template, by its path under `sql/`."""
    environment = _environment()
    names = sorted(name for name in environment.list_templates() if not name.startswith("macros/"))
    return {Path(name.removesuffix(_ENDING)): _rendered(environment, name) for name in names}


def outdated() -> list[Path]:
    """Files under `sql/` that differ from their templates, or have no template."""
    there = {file.relative_to(SQL): file.read_text(encoding="utf-8") for file in SQL.rglob("*.sql")}
    made = rendered()
    return sorted(path for path in there.keys() | made.keys() if there.get(path) != made.get(path))


def _rendered(environment: Environment, name: str) -> str:
    view = Path(name.removesuffix(f".sql{_ENDING}")).name.lstrip("0123456789").removeprefix("_")
    return environment.get_template(name).render(view=view).rstrip() + "\n"


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    made.filters |= {"literal": literal, "prefixed": _prefixed, "possible": tokens.possible}
    made.globals |= {module.__name__.rpartition(".")[2]: module for module in _MODULES}
    made.globals |= {
        "spark": dialects.SPARK,
        "DAY_S": dialects.DAY_S, "HOUR_S": dialects.HOUR_S, "MARK": MARK, "OUTCOMES": OUTCOMES, "TOKENS": TOKENS,
        "CACHE": CACHE, "COSTS": COSTS, "PERCENTILES": PERCENTILES, "comment_of": _comment_of, "pairs": _pairs,
        "split": _split, "unique": _unique, "named": _named, "grouped_columns": definitions.grouped_columns,
        "computed": _computed, "percentile_arrays": _percentile_arrays, "shown": _shown, "known": _known,
        "is_same": dimensions.is_same,
    }  # fmt: skip
    return made


def _comment_of(name: str) -> str:
    return FIGURES[name].comment if name in FIGURES else cells.MEANINGS[name]


def _pairs(columns: Iterable[Column]) -> list[tuple[str, str]]:
    return [(column.name, column.meaning) for column in columns]


def _split(figures: Sequence[str]) -> list[list[str]]:
    """Names of figures for each `Relation`, each ratio replaced by the two figures that it divides."""
    parts: dict[str, None] = {}
    for name in figures:
        computed = FIGURES[name].computed
        parts |= dict.fromkeys((computed.above, computed.below) if isinstance(computed, Ratio) else (name,))
    return [[name for name in parts if FIGURES[name].computed.relation is relation] for relation in Relation]


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _named(columns: dict[str, str]) -> list[str]:
    return [f"{sql} AS {name}" for name, sql in columns.items()]


def _computed(figures: Iterable[str]) -> list[str]:
    """Figures as columns of a query over their relation."""
    return [f"{FIGURES[name].computed.sql} AS {name}" for name in figures]


def _percentile_arrays(figures: Iterable[str]) -> list[str]:
    """One array per column with all its percentiles, named as the column, so that Spark sorts the values once."""
    return [
        f"{percentiles.percentiles(column, percents, dialects.SPARK)} AS {column}"
        for column, percents in _percents(figures).items()
    ]


def _shown(figures: Sequence[str]) -> list[str]:
    """Figures as columns of the last query of a roll-up, over the columns of `_computed` and `_percentile_arrays`."""
    percents = _percents(figures)
    return [_shown_figure(name, percents) for name in figures]


def _shown_figure(name: str, percents: dict[str, list[int]]) -> str:
    match FIGURES[name].computed:
        case Ratio() as ratio:
            return f"{ratio.of_figures} AS {name}"
        case Percentile(column, percent):
            return f"{column}[{percents[column].index(percent)}] AS {name}"
        case _:
            return name


def _percents(figures: Iterable[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for name in figures:
        match FIGURES[name].computed:
            case Percentile(column, percent):
                found.setdefault(column, []).append(percent)
    return found


def _known(figures: Iterable[str]) -> str:
    """The condition that a row of usage_distributions has a value for any of these percentiles."""
    conditions = [f"{column} IS NOT NULL" for column in _percents(figures)]
    return f"({' OR '.join(conditions)})" if len(conditions) > 1 else conditions[0]


def _prefixed(name: str, prefix: str) -> str:
    return f"{prefix}{name}"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(f"out of date: {', '.join(map(str, wrong))}; run {sys.argv[0]}" if (wrong := outdated()) else 0)
    for path, text in rendered().items():
        (SQL / path).parent.mkdir(parents=True, exist_ok=True)
        (SQL / path).write_text(text, encoding="utf-8")
