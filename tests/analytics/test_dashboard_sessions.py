"""The sessions of coding agents on the usage dashboard's page, against the view's."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest

from tests.analytics.conftest import At
from tests.analytics.test_dashboard_page import DEFAULT
from tests.analytics.usage_views import Usage

pytestmark = pytest.mark.timeout(1800)

LONGEST = 100
"""Letters of a session's name on the page."""


def test_sessions_are_those_of_the_view(usage: Usage, at: At) -> None:
    page = at("#page=agents")
    card = page.locator("[data-widget='Most expensive sessions']")
    card.scroll_into_view_if_needed()
    with page.expect_download() as download:
        card.get_by_role("button", name="Export").click()
    lines = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig"))))
    sessions = [each for each in usage.wanted("coding_agents_sessions") if DEFAULT[0] <= each["day"] <= DEFAULT[1]]
    wanted = {
        (each["coding_agent"], each["requester"] or "", each["session_id"][:LONGEST]): (
            f"{each['started_at']:%Y-%m-%d %H:%M}", each["subagents"], each["requests"], each["total_tokens"],
            each["priced_cost_usd"],
        )
        for each in sessions
    }  # fmt: skip
    assert len(wanted) == len(sessions) == len(lines) > 100
    assert max(len(each["session_id"]) for each in sessions) > LONGEST
    for line in lines:
        cost = Decimal(line["priced_cost_usd"]) if line["priced_cost_usd"] else None
        counts = (int(line[name]) for name in ("subagents", "requests", "total_tokens"))
        key = line["coding_agent"], line["requester"], line["session_id"]
        assert (line["started_at"], *counts, cost) == wanted[key]
    costs = [Decimal(line["priced_cost_usd"]) for line in lines if line["priced_cost_usd"]]
    assert costs == sorted(costs, reverse=True)
    chosen = lines[0]["requester"]
    page = at(f"#page=agents&requesters={chosen}")
    shown = page.locator("[data-widget='Most expensive sessions'] tbody tr td:nth-child(2)").all_inner_texts()
    assert set(shown) == {chosen}
