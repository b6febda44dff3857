"""The bundle in `jobs/`, against the models that Databricks generates from its own schema."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from databricks.bundles.dashboards import Dashboard
from databricks.bundles.jobs import Job

from gateway_batch.cli.main import app
from gateway_batch.config import GatewayConfig
from gateway_batch.spark.analytics.views import check_names

ROOT = Path(__file__).parents[2]
JOBS = ROOT / "jobs"
SCHEDULE = re.compile(r"^0 \d+ \S+ (\*|\?) \* (\*|\?)$")


def read(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


BUNDLE = read(JOBS / "databricks.yml")
FILES = sorted(path for pattern in BUNDLE["include"] for path in JOBS.glob(pattern))
RESOURCES = {path: read(path)["resources"] for path in FILES}
TEXT = "".join(path.read_text(encoding="utf-8") for path in [JOBS / "databricks.yml", *FILES])


def of_kind(kind: str) -> dict[str, tuple[Path, Any]]:
    return {name: (path, each) for path, made in RESOURCES.items() for name, each in made.get(kind, {}).items()}


JOBS_BY_NAME = of_kind("jobs")
((DASHBOARD_FILE, DASHBOARD),) = of_kind("dashboards").values()
COMMANDS = {
    f"{name}.{task['task_key']}": task["python_wheel_task"]
    for name, (_, job) in JOBS_BY_NAME.items()
    for task in job["tasks"]
    if "python_wheel_task" in task
}
VARIABLES: dict[str, dict[str, str]] = {
    name: cluster["new_cluster"]["spark_env_vars"]
    for name, (_, job) in JOBS_BY_NAME.items()
    for cluster in job.get("job_clusters", [])
}
ALL_JOBS = pytest.mark.parametrize("name", list(JOBS_BY_NAME))


def filled(text: str, **given: str) -> str:
    """A text with its variables in their places: given ones, else their defaults, which may name others."""
    values = {name: str(each.get("default", "x")) for name, each in BUNDLE["variables"].items()} | given
    while (found := re.sub(r"\$\{var\.(\w+)\}", lambda name: values[name[1]], text)) != text:
        text = found
    return text


def test_the_resources_are_what_databricks_models_take() -> None:
    """They refuse fields that don't exist, missing ones, and words that an enumeration lacks."""
    assert {kind for made in RESOURCES.values() for kind in made} == {"jobs", "dashboards"}
    for _, job in JOBS_BY_NAME.values():
        assert Job.from_dict(job).as_dict() == job
    assert Dashboard.from_dict(DASHBOARD).as_dict() == DASHBOARD
    wrong: Any = {**job, "colour": "blue"}
    with pytest.raises(ValueError, match="Unexpected field 'colour'"):
        Job.from_dict(wrong)


def test_files_are_named_by_the_kind_of_their_resources() -> None:
    assert {path.name: list(made) for path, made in RESOURCES.items()} == {
        "ai_gateway_usage.dashboard.yml": ["dashboards"],
        "score_table.job.yml": ["jobs"],
        "usage_dashboard.job.yml": ["jobs"],
        "usage_ledger.job.yml": ["jobs"],
    }


def test_paths_lead_to_what_is_there_and_is_synchronized() -> None:
    file = (DASHBOARD_FILE.parent / DASHBOARD["file_path"]).resolve()
    assert file.is_file()
    assert file.parent in {(JOBS / path).resolve() for path in BUNDLE["sync"]["paths"]}
    (wheel,) = BUNDLE["artifacts"].values()
    assert (JOBS / wheel["path"]).resolve() == ROOT
    assert "--wheel-dir dist" in wheel["build"]
    for path, job in JOBS_BY_NAME.values():
        wheels = [name for each in job.get("environments", []) for name in each["spec"]["dependencies"]]
        wheels += [library["whl"] for task in job["tasks"] for library in task.get("libraries", [])]
        assert wheels
        assert {(path.parent / each).parent.resolve() for each in wheels} == {ROOT / "dist"}


def test_every_reference_leads_to_something() -> None:
    used = set(re.findall(r"\$\{([^}]+)\}", TEXT))
    variables = {name.removeprefix("var.") for name in used if name.startswith("var.")}
    assert variables == set(BUNDLE["variables"])
    rest = {name for name in used if not name.startswith("var.")}
    resources = {f"resources.{kind}.{name}.id" for kind in ("jobs", "dashboards") for name in of_kind(kind)}
    assert rest <= {"workspace.current_user.userName", "workspace.host", "bundle.name", "bundle.target", *resources}
    assert "resources.dashboards.ai_gateway_usage.id" in rest
    assert [name for name, each in BUNDLE["variables"].items() if "default" not in each] == [
        "warehouse_id",
        "node_type_id",
    ]


@ALL_JOBS
def test_tasks_run_one_after_the_other_where_it_is_declared(name: str) -> None:
    job = JOBS_BY_NAME[name][1]
    keys = [each["task_key"] for each in job["tasks"]]
    assert [[to["task_key"] for to in each.get("depends_on", [])] for each in job["tasks"]] == [
        [before] if before else [] for before in ["", *keys][:-1]
    ]
    places = {each["environment_key"] for each in job.get("environments", [])}
    places |= {each["job_cluster_key"] for each in job.get("job_clusters", [])}
    used = [
        each.get("environment_key") or each["job_cluster_key"] for each in job["tasks"] if "python_wheel_task" in each
    ]
    assert set(used) == places


def test_no_secret_is_in_the_bundle() -> None:
    """A cluster's variables take references, which the workspace resolves."""
    given = [variables["DATABRICKS_TOKEN"] for variables in VARIABLES.values() if "DATABRICKS_TOKEN" in variables]
    assert given
    assert [each for each in given if not re.fullmatch(r"\{\{secrets/[^/]+/\w+\}\}", each)] == []


@pytest.mark.parametrize("name", list(VARIABLES))
def test_a_cluster_sets_what_settings_there_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in VARIABLES[name].items():
        monkeypatch.setenv(variable, filled(value).replace("${workspace.host}", "https://example.com"))
    config = GatewayConfig.from_env()
    assert str(config.spool_dir) == "/Volumes/main/ai_gateway/spool"
    assert config.usage_table == "main.ai_gateway.usage"


def test_there_are_a_development_and_a_production_target() -> None:
    assert {name: each["mode"] for name, each in BUNDLE["targets"].items()} == {
        "dev": "development",
        "prod": "production",
    }
    assert BUNDLE["targets"]["prod"]["workspace"]["root_path"]
    for _, job in JOBS_BY_NAME.values():
        assert SCHEDULE.match(job["schedule"]["quartz_cron_expression"])
        assert job["email_notifications"]["on_failure"]
        assert job["permissions"]
        assert job["max_concurrent_runs"] == 1


@pytest.mark.parametrize("key", list(COMMANDS))
def test_a_task_runs_a_command_that_takes_its_arguments(key: str) -> None:
    task = COMMANDS[key]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert task["package_name"] == project["name"].replace("-", "_")
    assert project["scripts"][task["entry_point"]] == "gateway_batch.cli.main:main"
    given = parsed([filled(word) for word in task["parameters"]])
    expected_of: dict[str, dict[str, Any]] = {
        "score_table.score": {"source": "main.ai_gateway.texts", "output": "main.ai_gateway.answers", "key": ["id"]},
        "usage_dashboard.refresh_aggregate": {"usage_table": "system.ai_gateway.usage", "schema": "main.ai_gateway"},
        "usage_ledger.flush": {"usage_table": None},
        "usage_ledger.maintain": {"keep_days": 400},
    }
    expected = expected_of[key]
    if "schema" in given:
        check_names(given["usage_table"], given["schema"])
    assert {name: given["out" if name == "output" else name] for name in expected} == expected


def parsed(words: list[str]) -> dict[str, Any]:
    """What the command line makes of its words, without running the command."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("gateway-batch", list(words))
    while hasattr(context.command, "commands"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    return dict(context.params)
