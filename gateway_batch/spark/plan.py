"""What travels from the driver to the workers inside the function's pickled command. No secret is in here."""

from __future__ import annotations

from dataclasses import dataclass

from gateway_batch.runtime import RuntimeSettings
from gateway_batch.types import Service


@dataclass(frozen=True)
class CallerSettings:
    """What the usage records of all tasks have in common."""

    application_id: str
    requester: str | None
    account_id: str | None
    workspace_id: str | None


@dataclass(frozen=True)
class CallPlan:
    """One `ai_query` of a query, its constant arguments resolved.

    Attributes:
        parameters: model parameters, a JSON object as text.
        result_type: SQL type of an answer, as Spark's JSON; the `errorMessage` struct around it is not part of it.
        tags: constant request tags.
        has_tags: a map column with a row's tags follows the request column.
        has_condition: a boolean column follows; a row where it is not true sends nothing.
    """

    service: Service
    parameters: str
    result_type: str
    time_zone: str
    fail_on_error: bool
    tags: tuple[tuple[str, str], ...]
    has_tags: bool
    has_condition: bool
    runtime: RuntimeSettings
    caller: CallerSettings
