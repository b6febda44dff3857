"""Each code block of the pages in docs/ runs as written; what needs Databricks is checked as far as it can be here."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from gateway_batch.config import GatewayConfig, resolve_service
from gateway_batch.devgateway import Settings, running
from gateway_batch.errors import SQLSTATES, ErrorKind
from tests.e2e import run_pages
from tests.e2e.conftest import REVIEWS, exit_code, working_in
from tests.pages import ROOT, Block, blocks, commands

ELSEWHERE = {
    "docs/cluster.md": "tests/cluster",
    "docs/connect.md": "tests/connect",
    "docs/guide.md": "tests/e2e/test_guide.py",
    "docs/semantics.md": "its head",
}
"""Pages whose blocks other tests run, as they need a server or a cluster; `semantics.md` is written from its head."""
PAGES = [
    str(page.relative_to(ROOT))
    for page in sorted((ROOT / "docs").glob("*.md"))
    if str(page.relative_to(ROOT)) not in ELSEWHERE and blocks(str(page.relative_to(ROOT)))
]
PAGES.sort(key=lambda page: page != "docs/command-line.md")  # which begins with the demo: others look at its tables
BLOCKS = [block for page in PAGES for block in blocks(page) if block.language in ("bash", "python", "sql")]
MAILS = "id,body\n1,The boat is late. It comes on Monday.\n2,The invoice is wrong by ten dollars.\n3,Thank you.\n"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, run_pages.Outcome]:
    """What became of each block, all run in one folder."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "reviews.csv").write_text(REVIEWS)
    (folder / "mails.csv").write_text(MAILS)
    settings = {
        name: "t0ken"
        for name in ("DATABRICKS_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "LITELLM_KEY")
    }
    with (
        running(Settings(port=0, token="t0ken", ledger=folder / "ledger.sqlite")) as server,
        working_in(folder, DATABRICKS_HOST=server.host, **settings),
    ):
        return run_pages.run(PAGES)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_block_runs(block: Block, outcomes: dict[str, run_pages.Outcome]) -> None:
    assert outcomes[str(block)].fault is None, outcomes[str(block)].fault


SAID = {
    "demo --rows 500 --input reviews.csv": "3 answered, 0 failed",
    "reconcile demo/devgateway.sqlite": "The usage table reconciles with the gateway's record.",
    "usage flush --warehouse demo": "0 records committed to ai_gateway.usage",
    "usage maintain --keep-days 400": "joined to 1, 0 records deleted",
    "usage import demo/devgateway.sqlite": "0 requests of other clients imported into ai_gateway.usage",
}
"""What commands print that are given the demo's tables."""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", SAID)
def test_a_command_that_follows_the_demo_says(command: str, outcomes: dict[str, run_pages.Outcome]) -> None:
    (block,) = (block for block in BLOCKS if block.page == "docs/command-line.md" and command in block.text)
    assert SAID[command] in " ".join(outcomes[str(block)].printed.split())


@pytest.mark.parametrize(
    "script",
    ["write_configuration_doc.py", "write_real_answers_doc.py", "write_reference.py", "write_semantics_doc.py"],
)
def test_a_written_page_is_up_to_date(script: str) -> None:
    assert exit_code(runpy.run_path, str(ROOT / "scripts" / script), "--check") == 0


def shell_lines(program: str) -> list[list[str]]:
    return [
        words
        for block in [*BLOCKS, *blocks("CONTRIBUTING.md")]
        if block.language == "bash"
        for command in commands(block)
        if (words := shlex.split(command, comments=True))[0] == program
    ]


def test_the_targets_of_make_exist() -> None:
    for words in shell_lines("make"):
        done = subprocess.run([*words, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr)


def test_our_own_modules_take_what_they_are_shown_with() -> None:
    shown = shell_lines(".venv/bin/python")
    assert shown
    for _, option, module, *words in shown:
        assert option == "-m"
        assert exit_code(runpy.run_module, module, *words, "--help") == 0, words


def test_extras_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = [
        name
        for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
        for names in re.findall(r"(?:gateway-batch|'\.)\[([\w,]+)\]", page.read_text(encoding="utf-8"))
        for name in names.split(",")
    ]
    assert named
    assert [name for name in named if name not in extras] == []


def test_the_bundle_has_what_is_run_and_exported() -> None:
    bundle = yaml.safe_load((ROOT / "jobs" / "databricks.yml").read_text())
    resources = [yaml.safe_load(path.read_text())["resources"] for path in (ROOT / "jobs" / "resources").glob("*.yml")]
    names = {name for kinds in resources for kind in kinds.values() for name in kind}
    run = [words[3] for words in shell_lines("databricks") if words[1:3] == ["bundle", "run"]]
    assert run
    assert [name for name in run if name not in names] == []
    exported = [word.partition("=")[0] for words in shell_lines("export") for word in words[1:]]
    variables = [name.removeprefix("BUNDLE_VAR_") for name in exported if name.startswith("BUNDLE_VAR_")]
    assert variables
    assert [name for name in variables if name not in bundle["variables"]] == []


def test_every_error_is_in_troubleshooting() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    names = [*ErrorKind, *(name for name in SQLSTATES if name.startswith("AI_FUNCTION_"))]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_servers_in_one_line_are_valid_endpoints() -> None:
    page = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [\w -]+ \| `(\{.*\})` \|$", page, re.MULTILINE)
    assert len(rows) >= 8
    for row in rows:
        config = GatewayConfig.from_env(endpoints=json.loads(row))
        service = resolve_service(config, "mine")
        assert service.url.startswith(json.loads(row)["mine"]["base_url"])


def test_pages_link_to_what_there_is() -> None:
    broken = []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/decisions/*.md")]:
        for link, anchor in re.findall(r"\]\(([\w./-]*)(#[\w-]+)?\)", page.read_text(encoding="utf-8")):
            target = page.parent / link if link else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{page.name}: {link}{anchor}")
    assert broken == []


def anchors(page: Path) -> list[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return ["#" + re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_the_index_has_every_page() -> None:
    for folder in (ROOT / "docs", ROOT / "docs" / "decisions"):
        index = (folder / "index.md").read_text(encoding="utf-8")
        pages = {page.name for page in folder.glob("*.md")} - {"index.md", "semantics.head.md"}
        assert sorted(name for name in pages if f"]({name})" not in index) == []
