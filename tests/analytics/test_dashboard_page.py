"""The usage dashboard's page in a real Chromium: its figures, its looks, and whom it serves."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.dashboard.cube import UsageCube
from gateway_batch.dashboard.datasets import Dataset, dataset_of, merged
from gateway_batch.dashboard.definition import PAGES
from gateway_batch.errors import ConfigError
from tests.analytics.conftest import At, Open
from tests.analytics.dashboard_figures import FIGURES, Figures, Rows, dated, is_same
from tests.analytics.usage_views import DAYS, FIRST, Usage, make, odd_rows, with_texts
from tests.browser import Opened, drawn, opened
from tests.usage_days.workloads import WORKSPACES

pytestmark = pytest.mark.timeout(1800)

LAST = FIRST + timedelta(days=DAYS - 1)
DEFAULT = (LAST - timedelta(days=27), LAST)
DATASETS = merged(
    found for page in PAGES for row in page.rows for widget in row if (found := dataset_of(widget, page.only))
)

CHOSEN: list[dict[str, Any]] = [
    {},
    {"days": (date(2026, 8, 10), date(2026, 8, 12))},
    {"workspaces": [WORKSPACES[0]]},
    {"endpoints": ["databricks-gpt-5-4", "main.tools.github"]},
    {"models": ["(not routed)"]},
    {"models": ["claude-opus-4-6", "gpt-5-4"]},
    {"requesters": ["claude.0@example.com", "support.1@example.com"]},
    {"tags": ["team=support", 'cost "center"=4711 🧾']},
    {"statuses": ["429", "(unknown)"]},
    {"statuses": ["200"], "endpoints": ["main.ai.coding"], "days": (date(2026, 8, 20), LAST)},
    {"requesters": ["nobody@example.com"]},
]


@pytest.fixture(scope="module")
def rows(usage: Usage) -> Rows:
    return Rows(usage.view("usage_costs"), usage.view("usage_distributions"))


def figures(page: Page, days: tuple[date, date], chosen: Mapping[str, Sequence[str]]) -> list[Figures]:
    """What the page's engine gives for each dataset."""
    choice = dict(chosen) | {
        name: (day - date(1970, 1, 1)).days for name, day in zip(("from", "to"), days, strict=True)
    }
    asked = [[dataset.dimensions, dataset.measures, dataset.only.column] for dataset in DATASETS]
    return [
        {
            tuple(map(dated, dataset.dimensions, key)): dict(zip(dataset.measures, values, strict=True))
            for key, values in found
        }
        for dataset, found in zip(DATASETS, page.evaluate(FIGURES, [choice, asked]), strict=True)
    ]


@pytest.fixture(scope="module")
def unfiltered(shared: Opened) -> list[Figures]:
    return figures(shared.page, DEFAULT, {})


@pytest.mark.parametrize("chosen", CHOSEN, ids=lambda chosen: " ".join(chosen) or "nothing")
def test_each_figure_of_each_page_is_what_sql_gives_under_each_filter(
    rows: Rows, at: At, unfiltered: list[Figures], chosen: dict[str, Any]
) -> None:
    days = chosen.get("days", DEFAULT)
    texts = {name: texts for name, texts in chosen.items() if name != "days"}
    all_found = figures(at("#"), days, texts)
    for dataset, found in zip(DATASETS, all_found, strict=True):
        wanted = rows.figures(dataset, days, texts)
        assert found.keys() == wanted.keys(), dataset
        for key, values in found.items():
            wrong = {
                name: (value, wanted[key].get(name))
                for name, value in values.items()
                if not is_same(name, value, wanted[key].get(name, 0))
            }
            assert not wrong, (dataset.dimensions, key)
    assert (all_found == unfiltered) is not bool(chosen), "a filter changes figures"


def tiles(page: Page) -> dict[str, str]:
    """The exact figures of the tiles that are shown."""
    return {
        tile.get_attribute("data-measure") or "": tile.locator(".value").get_attribute("data-exact") or ""
        for tile in page.locator(".tile").all()
    }


def test_a_choice_in_the_bar_changes_the_shown_figures_and_is_kept_in_links(rows: Rows, at: At, show: Open) -> None:
    page = at("#")
    dataset = Dataset((), ("requests", "users"))
    assert tiles(page)["requests"] == str(rows.figures(dataset, DEFAULT, {})[()]["requests"])
    page.get_by_role("button", name="Endpoint, all").click()
    page.get_by_label("Search Endpoint").fill("coding")
    page.get_by_role("checkbox").check()
    page.keyboard.press("Escape")
    drawn(page)
    chosen = {"endpoints": ["main.ai.coding"]}
    assert tiles(page)["requests"] == str(rows.figures(dataset, DEFAULT, chosen)[()]["requests"])

    page.get_by_role("tab", name="Cost Analysis").click()
    drawn(page)
    cost = rows.figures(Dataset((), ("priced_cost_usd",)), DEFAULT, chosen)[()]["priced_cost_usd"]
    assert Decimal(tiles(page)["priced_cost_usd"]) == cost
    assert "endpoints=main.ai.coding" in page.url
    again = show(page.url[page.url.index("#") :]).page
    assert tiles(again) == tiles(page)
    page.go_back()
    drawn(page)
    assert page.get_by_role("tab", selected=True).inner_text() == "Overview"
    page.get_by_role("button", name="Remove Endpoint main.ai.coding").click()
    drawn(page)
    assert tiles(page)["requests"] == str(rows.figures(dataset, DEFAULT, {})[()]["requests"])


def test_a_tile_has_the_change_against_as_many_days_before(rows: Rows, at: At) -> None:
    page = at("#page=overview&from=2026-08-17&to=2026-08-23")
    dataset = Dataset((), ("requests",))
    now = rows.figures(dataset, (date(2026, 8, 17), date(2026, 8, 23)), {})[()]["requests"]
    before = rows.figures(dataset, (date(2026, 8, 10), date(2026, 8, 16)), {})[()]["requests"]
    change = page.locator("[data-measure=requests] .change")
    percent = abs(now / before - 1) * 100
    assert f"{percent:.1f}%" in change.inner_text()
    assert ("+" if now > before else "\u2212") in change.inner_text()
    assert f"{before:,}" in (change.get_attribute("title") or "")
    at("#page=overview&from=2026-08-08&to=2026-08-23")
    assert change.inner_text() == "no earlier data"


def test_a_table_is_sorted_searched_and_exported_as_it_is_shown(rows: Rows, at: At) -> None:
    page = at("#page=usage")
    card = page.locator("[data-widget=Endpoints]")
    first = card.locator("tbody tr").first.locator("th")
    wanted = rows.figures(Dataset(("endpoint_name",), ("requests", "input_tokens")), DEFAULT, {})
    assert first.inner_text() == max(wanted, key=lambda key: wanted[key]["requests"])[0]
    card.get_by_role("button", name="Input tokens").click()
    assert first.inner_text() == max(wanted, key=lambda key: wanted[key]["input_tokens"])[0]
    assert card.locator("th[aria-sort=descending]").inner_text().startswith("Input tokens")
    with page.expect_download() as download:
        card.get_by_role("button", name="Export").click()
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    lines = list(csv.DictReader(io.StringIO(text)))
    names = [line["endpoint_name"] for line in lines]
    assert sorted(names) == sorted(name for (name,) in wanted)
    tokens = [wanted[name,]["input_tokens"] for name in names]
    assert tokens == sorted(tokens, reverse=True)
    assert all(int(line["requests"]) == wanted[(line["endpoint_name"],)]["requests"] for line in lines)
    users = page.locator("[data-widget=Requesters]")
    users.get_by_role("searchbox").fill("claude.1@")
    assert users.locator("tbody tr th").all_inner_texts() == ["claude.1@example.com"]


def test_it_can_be_used_by_keyboard_alone(at: At) -> None:
    page = at("#")
    page.get_by_role("tab", name="Overview").focus()
    page.keyboard.press("ArrowRight")
    drawn(page)
    assert page.get_by_role("tab", selected=True).inner_text() == "Performance"
    page.keyboard.press("End")
    drawn(page)
    assert page.get_by_role("tab", selected=True).inner_text() == PAGES[-1].title
    page.get_by_role("button", name="Status, all").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    drawn(page)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Status, 1 chosen"


RULES: dict[Literal["light", "dark"], dict[str, Any]] = {
    "light": {},
    "dark": {"runOnly": ["color-contrast", "link-in-text-block"]},
}


def test_no_serious_finding_of_accessibility_on_any_page_in_any_theme(at: At, shared: Opened) -> None:
    """In the dark by the rules about colours: all else is the same."""
    for each in PAGES:
        for theme, rules in RULES.items():
            shared.page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # colours change at once
            assert serious(at(f"#page={each.name}"), **rules) == [], (each.name, theme)
    shared.page.emulate_media(color_scheme="light", reduced_motion="no-preference")


def serious(page: Page, **options: Any) -> list[Any]:
    violations = Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [
        (each["id"], [node["html"] for node in each["nodes"]][:3])
        for each in violations
        if each["impact"] in ("serious", "critical")
    ]


def test_a_phone_scrolls_down_only_and_print_leaves_the_controls_out(show: Open) -> None:
    page = show(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True).page
    for each in PAGES:
        page.evaluate(f"usagePage.state.change({{ page: '{each.name}' }})")
        drawn(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, each.name
    page.emulate_media(media="print")
    assert not page.locator(".filter-row").is_visible()
    assert not page.get_by_role("tablist").is_visible()
    assert page.locator("h2.print-only").is_visible()


def test_the_theme_is_the_reader_s_until_he_chooses(show: Open) -> None:
    page = show(color_scheme="dark").page
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Use the light colours").click()
    assert page.evaluate(background) != dark
    page.reload()
    drawn(page)
    assert page.evaluate(background) != dark


def test_tables_of_all_kinds_make_a_page(spark: SparkSession, browser: Browser, tmp_path: Path) -> None:
    """No rows; one; NULL everywhere, odd tags, names and times, on one page."""
    rows = odd_rows()
    make(spark, "page.odd", [with_texts(rows, "requester", [f"{number}</script>" for number in range(len(rows))])])
    spark.sql("CREATE VIEW page.one_row AS SELECT * FROM page.odd WHERE request_id = 'r'")
    spark.sql("CREATE VIEW page.no_rows AS SELECT * FROM page.odd WHERE false")
    for kind in ("no_rows", "one_row", "odd"):
        file = gb.write_dashboard(spark, tmp_path / f"{kind} ü.html", f"page.{kind}", "page")
        with opened(browser, file) as shown:
            for each in PAGES:
                shown.page.evaluate(f"usagePage.state.change({{ page: '{each.name}', from: usagePage.state.first }})")
                drawn(shown.page)
            assert shown.complaints == []
            shown.page.evaluate("usagePage.state.change({ page: 'usage' })")
            drawn(shown.page)
            text = shown.page.locator("#panel").inner_text()
            if kind == "no_rows":
                assert "No usage in these days" in text
                assert tiles(shown.page)["requests"] == "0"
            if kind == "one_row":
                assert tiles(shown.page)["requests"] == "1"
            if kind == "odd":
                assert 'it\'s "quoted" `so` \\ 🧾' in text
                tag = shown.page.locator("[data-widget=Tags] button.cell", has_text="quoted")
                tag.click()
                drawn(shown.page)
                assert tiles(shown.page)["requests"] == "1"
                assert shown.complaints == []


def test_a_page_that_would_be_too_large_says_what_it_shows_as_one(
    usage: Usage,
    cube: UsageCube,
    rows: Rows,
    file: Path,
    browser: Browser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway_batch.dashboard.write.read_cube", lambda *_, **__: cube)
    most = file.stat().st_size - 15_000
    small = gb.write_dashboard(usage.spark, tmp_path / "small.html", usage.table, usage.schema, max_bytes=most)
    assert small.stat().st_size <= most
    with opened(browser, small) as shown:
        assert "requesters with the least use are shown as (other)" in shown.page.locator("header").inner_text()
        wanted = rows.figures(Dataset((), ("requests", "priced_cost_usd")), DEFAULT, {})[()]
        assert tiles(shown.page)["requests"] == str(wanted["requests"])
        assert Decimal(tiles(shown.page)["priced_cost_usd"]) == wanted["priced_cost_usd"]
        assert shown.complaints == []
    with pytest.raises(ConfigError, match="can't be made smaller than 1,000 bytes"):
        gb.write_dashboard(usage.spark, tmp_path / "none.html", usage.table, usage.schema, max_bytes=1000)
    assert [each.name for each in tmp_path.iterdir()] == ["small.html"]


def test_the_command_writes_one_file_and_says_what_is_wrong(usage: Usage, file: Path, tmp_path: Path) -> None:
    assert file.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(ConfigError, match=r"no usage table page_none\.usage"):
        gb.write_dashboard(usage.spark, tmp_path / "b.html", "page_none.usage", "page_none")
    with pytest.raises(ConfigError, match="a folder that exists"):
        gb.write_dashboard(usage.spark, tmp_path / "none" / "b.html", usage.table, usage.schema)
    assert list(tmp_path.iterdir()) == []
    assert list(file.parent.iterdir()) == [file]


LOOKS: dict[str, Any] = {
    "light": {"viewport": {"width": 1280, "height": 1560}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 1560}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 1560}, "color_scheme": "light"},
    "dark phone": {"viewport": {"width": 390, "height": 1560}, "color_scheme": "dark"},
}


def picture(show: Open, page: str, look: str) -> Image.Image:
    """A picture of a page, on which there is something."""
    context = LOOKS[look]
    taken = Image.open(io.BytesIO(show(f"#page={page}", **context).page.screenshot())).convert("RGB")
    assert taken.size == tuple(context["viewport"].values()), look
    assert len(taken.getcolors(1 << 24) or []) > 100, look
    return taken


def test_a_page_is_seen_on_a_large_screen_and_on_a_dark_phone(show: Open) -> None:
    picture(show, "overview", "light")
    picture(show, "cost", "dark phone")


@pytest.mark.nightly
def test_pictures_of_each_page_are_taken(show: Open, tmp_path: Path) -> None:
    """Into docs/images where SCREENSHOTS is set, as `make screenshots` does."""
    folder = Path("docs/images") if os.environ.get("SCREENSHOTS") else tmp_path
    for each in PAGES:
        taken = [picture(show, each.name, look) for look in LOOKS]
        sheet = Image.new("RGB", (sum(image.width + 24 for image in taken) - 24, taken[0].height), "#8a909c")
        for number, image in enumerate(taken):
            sheet.paste(image, (sum(before.width + 24 for before in taken[:number]), 0))
        sheet = sheet.resize((sheet.width // 2, sheet.height // 2), Image.Resampling.LANCZOS)
        sheet.save(folder / f"usage-dashboard-{each.name}.webp", quality=80, method=6)
    assert sum(file.stat().st_size for file in folder.glob("usage-dashboard-*.webp")) < 1_000_000
