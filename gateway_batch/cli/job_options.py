"""The options that describe a batch job, for the commands that take one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway_batch.cli.console import errors
from gateway_batch.cli.option_values import gateway_choice, json_object, named_path
from gateway_batch.spark.files.bad_input import BadInput, Faults

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from gateway_batch.config import GatewayConfig
    from gateway_batch.jobs.run import BatchJob

SOURCE = typer.Option("--source", help="A table, a path (CSV, JSON lines, Parquet, Delta), or a query.")
KEY = typer.Option("--key", help="A column that identifies rows; may be given several times.")
OUTPUT = typer.Option("--output", help="The Delta table of the answers; made, if it is missing.")
ENDPOINT = typer.Option("--endpoint", help="The endpoint, as of ai_query.")
Source = Annotated[str, SOURCE]
Keys = Annotated[list[str], KEY]
Output = Annotated[str, OUTPUT]
Endpoint = Annotated[str, ENDPOINT]
Prompt = Annotated[str | None, typer.Option(help="A template with columns in braces: 'Summarize: {body}'.")]
Request = Annotated[str | None, typer.Option(help="A SQL expression in its place.")]
SystemPrompt = Annotated[str | None, typer.Option(help="What stands before each prompt as the system's word.")]
ReturnType = Annotated[str | None, typer.Option(help="Type of an answer, as DDL.")]
ResponseFormat = Annotated[str | None, typer.Option(help="As of ai_query.")]
ModelParameters = Annotated[str | None, typer.Option(help="A JSON object: '{\"temperature\": 0.1}'.")]
RequestTags = Annotated[str | None, typer.Option(help="A JSON object of texts, or a SQL MAP.")]
Inputs = Annotated[
    list[str] | None, typer.Option("--input", metavar="NAME=PATH", help="A path as a view that --source may name.")
]
BadInputs = Annotated[
    BadInput,
    typer.Option(
        "--bad-input", help="Rows of CSV and lines of JSON that can't be read: refuse the file, or leave them out."
    ),
]
RetryErrors = Annotated[
    bool, typer.Option("--retry-errors", help="Try rows again whose error would repeat itself, too.")
]
MaxRows = Annotated[int | None, typer.Option(min=1, help="Rows at most.")]
Gateway = Annotated[
    str, typer.Option(help="env: the configured one; dev: a development gateway; auto: env if configured.")
]
Warehouse = Annotated[Path, typer.Option(help="Folder of the tables, where no session is active.")]
HERE = Path("spark-warehouse")


@dataclass(frozen=True)
class JobOptions:
    """What the options say."""

    source: str
    keys: list[str]
    output: str
    endpoint: str
    prompt: str | None
    request: str | None
    system_prompt: str | None
    return_type: str | None
    response_format: str | None
    model_parameters: str | None
    request_tags: str | None

    def job(self, bad_input: BadInput) -> BatchJob:
        """The job that they describe."""
        from gateway_batch.jobs.run import BatchJob

        return BatchJob(
            source=self.source,
            output=self.output,
            keys=self.keys,
            endpoint=self.endpoint,
            prompt=self.prompt,
            request=self.request,
            system_prompt=self.system_prompt,
            return_type=self.return_type,
            response_format=self.response_format,
            model_parameters=json_object("--model-parameters", self.model_parameters),
            request_tags=_tags(self.request_tags),
            bad_input=bad_input,
        )


@contextlib.contextmanager
def job_session(
    gateway: str, warehouse: Path, inputs: list[str] | None, bad_input: BadInput
) -> Iterator[tuple[SparkSession, GatewayConfig]]:
    """A session that has the inputs as views, and the settings of the gateway that was chosen."""
    from gateway_batch.cli.gateways import chosen
    from gateway_batch.spark.session.quiet_session import active_session

    choice, views = gateway_choice(gateway), dict(named_path(text) for text in inputs or [])
    with chosen(choice, warehouse / "_gateway_batch" / "devgateway.sqlite") as (config, development):
        if development is not None:
            errors.print(
                "no gateway is configured: the development gateway answers, its models are stand-ins", style="dim"
            )
        with active_session(warehouse) as spark:
            make_views(spark, views, bad_input)
            yield spark, config


def make_views(spark: SparkSession, paths: Mapping[str, Path], bad_input: BadInput) -> None:
    """Makes the inputs views, and says what was left out of them."""
    from gateway_batch.spark.files.tables import read_table

    for name, path in paths.items():
        faults = Faults(skip=bad_input is BadInput.SKIP)
        read_table(spark, path, faults).createOrReplaceTempView(name)
        if faults.count:
            errors.print(f"{faults}", highlight=False)


def _tags(text: str | None) -> dict[str, str] | str | None:
    """A JSON object of texts, else SQL."""
    if text is None or not text.lstrip().startswith("{"):
        return text
    return json_object("--request-tags", text)
