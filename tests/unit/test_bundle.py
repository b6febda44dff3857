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
from gateway_batch.spark.views import check_names

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


((JOB_FILE, JOB),) = of_kind("jobs").values()
((DASHBOARD_FILE, DASHBOARD),) = of_kind("dashboards").values()
TASKS: list[dict[str, Any]] = JOB["tasks"]
COMMANDS = {each["task_key"]: each["python_wheel_task"] for each in TASKS if "python_wheel_task" in each}


def test_the_resources_are_what_databricks_models_take() -> None:
    """They refuse fields that don't exist, missing ones, and words that an enumeration lacks."""
    assert {kind for made in RESOURCES.values() for kind in made} == {"jobs", "dashboards"}
    assert Job.from_dict(JOB).as_dict() == JOB
    assert Dashboard.from_dict(DASHBOARD).as_dict() == DASHBOARD
    wrong: Any = {**JOB, "colour": "blue"}
    with pytest.raises(ValueError, match="Unexpected field 'colour'"):
        Job.from_dict(wrong)


def test_files_are_named_by_the_kind_of_their_resources() -> None:
    assert {path.name: list(made) for path, made in RESOURCES.items()} == {
        "ai_gateway_usage.dashboard.yml": ["dashboards"],
        "usage_dashboard.job.yml": ["jobs"],
    }


def test_paths_lead_to_what_is_there_and_is_synchronized() -> None:
    file = (DASHBOARD_FILE.parent / DASHBOARD["file_path"]).resolve()
    assert file.is_file()
    assert file.parent in {(JOBS / path).resolve() for path in BUNDLE["sync"]["paths"]}
    (wheel,) = BUNDLE["artifacts"].values()
    assert (JOBS / wheel["path"]).resolve() == ROOT
    (dependency,) = JOB["environments"][0]["spec"]["dependencies"]
    assert (JOB_FILE.parent / dependency).parent.resolve() == ROOT / "dist"
    assert "--wheel-dir dist" in wheel["build"]


def test_every_reference_leads_to_something() -> None:
    used = set(re.findall(r"\$\{([^}]+)\}", TEXT))
    variables = {name.removeprefix("var.") for name in used if name.startswith("var.")}
    assert variables == set(BUNDLE["variables"])
    rest = {name for name in used if not name.startswith("var.")}
    resources = {f"resources.{kind}.{name}.id" for kind in ("jobs", "dashboards") for name in of_kind(kind)}
    assert rest <= {"workspace.current_user.userName", "bundle.name", "bundle.target", *resources}
    assert "resources.dashboards.ai_gateway_usage.id" in rest
    assert [name for name, each in BUNDLE["variables"].items() if "default" not in each] == ["warehouse_id"]


def test_tasks_run_one_after_the_other_in_environments_that_are_declared() -> None:
    keys = [each["task_key"] for each in TASKS]
    assert keys == ["refresh_aggregate", "refresh_dashboard"]
    assert [[to["task_key"] for to in each.get("depends_on", [])] for each in TASKS] == [[], keys[:1]]
    environments = {each["environment_key"] for each in JOB["environments"]}
    assert {each["environment_key"] for each in TASKS if "python_wheel_task" in each} == environments


def test_there_are_a_development_and_a_production_target() -> None:
    assert {name: each["mode"] for name, each in BUNDLE["targets"].items()} == {
        "dev": "development",
        "prod": "production",
    }
    assert BUNDLE["targets"]["prod"]["workspace"]["root_path"]
    assert SCHEDULE.match(JOB["schedule"]["quartz_cron_expression"])
    assert JOB["email_notifications"]["on_failure"]
    assert JOB["max_concurrent_runs"] == 1


@pytest.mark.parametrize("key", list(COMMANDS))
def test_a_task_runs_a_command_that_takes_its_arguments(key: str) -> None:
    task = COMMANDS[key]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert task["package_name"] == project["name"].replace("-", "_")
    assert project["scripts"][task["entry_point"]] == "gateway_batch.cli.main:main"
    defaults = {f"${{var.{name}}}": each.get("default", "x") for name, each in BUNDLE["variables"].items()}
    filled = [re.sub(r"\$\{var\.\w+\}", lambda found: defaults[found[0]], word) for word in task["parameters"]]
    given = parsed(filled)
    check_names(given["usage_table"], given["schema"])
    assert (given["usage_table"], given["schema"]) == ("system.ai_gateway.usage", "main.ai_gateway")


def parsed(words: list[str]) -> dict[str, Any]:
    """What the command line makes of its words, without running the command."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("gateway-batch", list(words))
    while hasattr(context.command, "commands"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    return dict(context.params)
