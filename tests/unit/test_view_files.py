from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway_batch.cli.views import app
from gateway_batch.errors import ConfigError
from gateway_batch.spark.analytics.sql_files import sql_folder
from gateway_batch.spark.analytics.usage_aggregate import CELLS, DISTRIBUTIONS, SESSIONS
from gateway_batch.spark.analytics.view_files import View, read_views
from gateway_batch.spark.analytics.views import READ_COLUMNS, names_views, statements
from gateway_batch.usage.record import MIRRORED_COLUMNS
from scripts.write_sql import outdated, rendered

FOLDERS = ("views", "views/databricks")
ALL = [view for folder in FOLDERS for view in read_views(folder)]
GOLDEN = Path(__file__).parent.parent / "golden" / "cost_models_daily.sql"


def texts(view: View) -> list[str]:
    return [text for text in (view.text, view.with_aggregate) if text is not None]


def test_the_files_are_what_their_templates_make() -> None:
    """Written by scripts/write_sql.py."""
    assert rendered().keys() >= {Path("views/10_usage_invocations.sql"), Path("tables/usage_daily.sql")}
    assert outdated() == []


@pytest.mark.parametrize("view", ALL, ids=lambda view: view.name)
def test_a_view_says_what_its_rows_and_columns_are(view: View) -> None:
    for text in texts(view):
        comment = re.search(r"^COMMENT '(.+) By gateway_batch\.'\nAS$", text, re.MULTILINE)
        assert comment is not None
        assert comment[1].startswith("One row for each ")
        assert text.startswith("-- One row for each ")
        columns = re.findall(r"^  (\w+) COMMENT '(.+)'(?:,|$)", text, re.MULTILINE)
        assert len(columns) == len(dict(columns)) > 1
        assert [name for name, meaning in columns if not meaning.endswith(".")] == []


def test_a_view_reads_only_what_is_made_before_it() -> None:
    made = {"prices"}
    for view in ALL:
        for text in texts(view):
            read = set(re.findall(r"^ *(?:.+ )?(?:FROM|JOIN) \{schema\}\.(\w+)", text, re.MULTILINE))
            assert read <= made | ({CELLS, DISTRIBUTIONS, SESSIONS} if text == view.with_aggregate else set()), (
                view.name
            )
        made.add(view.name)


def test_only_the_views_that_the_others_read_have_days_from_the_aggregate() -> None:
    assert [view.name for view in ALL if view.with_aggregate] == [
        "usage_cells", "usage_distributions", "usage_session_parts",
    ]  # fmt: skip
    for view in ALL:
        alone, both = (view.statement("t", "s", day) for day in (None, date(2026, 8, 3)))
        assert "usage_daily" not in alone.partition("\nAS\n")[2]
        assert ("WHERE day < DATE'2026-08-03'" in both) == (view.with_aggregate is not None)


def test_only_one_view_reads_the_usage_table_and_only_mirrored_columns() -> None:
    read = [view.name for view in ALL if re.search(r"^ *FROM \{usage_table\}", view.text, re.MULTILINE)]
    assert read == ["usage_invocations"]
    assert set(READ_COLUMNS) <= set(MIRRORED_COLUMNS)
    assert not any("client_metadata" in text for view in ALL for text in texts(view))


def test_a_statement_is_pinned() -> None:
    """Made anew by `gateway-batch views render --usage-table system.ai_gateway.usage --schema main.ai_gateway`."""
    made = statements("system.ai_gateway.usage", "main.ai_gateway")["cost_models_daily"]
    assert f"{made.rstrip()};\n" == GOLDEN.read_text(encoding="utf-8")


def test_files_and_views_are_as_many() -> None:
    files = [file for folder in FOLDERS for file in sql_folder(folder).glob("[0-9]*.sql")]
    assert len(files) == len(ALL) == len({view.name for view in ALL})


@pytest.mark.parametrize(
    "names", [("a.b.c.d", "s"), ("a;b", "s"), ("", "s"), ("a`b", "s"), ("t", "a.b.c"), ("t", "a;b")]
)
def test_what_is_no_name_is_refused(names: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="is not a name such as"):
        statements(*names)


def test_statements_are_written_in_the_order_in_which_they_can_run(tmp_path: Path) -> None:
    table = "system.ai_gateway.usage"
    ran = CliRunner().invoke(app, ["render", "--usage-table", table, "--schema", "x.y", "--output", str(tmp_path)])
    assert ran.exit_code == 0
    names = [file.stem[3:] for file in sorted(tmp_path.iterdir())]
    assert names == ["prices", *(view.name for view in read_views())]
    text = (tmp_path / "01_usage_invocations.sql").read_text(encoding="utf-8")
    assert "CREATE OR REPLACE VIEW `x`.`y`.usage_invocations (" in text
    assert text.endswith("FROM `system`.`ai_gateway`.`usage`\n);\n")


def test_statements_are_json_where_a_program_reads_them() -> None:
    ran = CliRunner().invoke(app, ["render", "--json", "--billing"])
    assert ran.exit_code == 0
    assert [json.loads(line)["name"] for line in ran.stdout.splitlines()] == ["prices", *(view.name for view in ALL)]


def test_knows_a_query_that_needs_the_views() -> None:
    assert names_views("SELECT * FROM `ai_gateway`.`Cost_Daily` LIMIT 3", "ai_gateway")
    assert not names_views("SELECT * FROM other.cost_daily JOIN ai_gateway.usage", "ai_gateway")
