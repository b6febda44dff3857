"""Who is to blame for a failed call, and what follows from it: the one table for rows, batches and queries."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway_batch.errors import ErrorKind


class Blame(StrEnum):
    """Who is at fault, as far as an answer shows."""

    ROW = "row"
    QUERY = "query"
    """What all rows of a query have in common: the model's name, its parameters. Or a single row: only others tell."""
    CREDENTIAL = "credential"
    MONEY = "money"
    SERVICE = "service"
    MOMENT = "moment"
    CALLER = "caller"
    """Its time or its budget is over, or it stopped."""


@dataclass(frozen=True, slots=True)
class Consequence:
    """What follows from a failure of a kind.

    Attributes:
        blame: who is at fault.
        is_retried: the call is tried again, `max_attempts` times.
        is_waited_out: the call is tried again until `row_deadline`: the service says that its time will come.
        is_of_the_service: a service that is down answers so, or not at all.
        splits: a batch of texts is tried in parts: it may be one text's fault, or all texts' size.
        repeats: so many calls in a row that are refused in the same words, and none answered: no further one is sent.
    """

    blame: Blame
    is_retried: bool = False
    is_waited_out: bool = False
    is_of_the_service: bool = False
    splits: bool = False
    repeats: int | None = None


_ANY_ROW_MEETS_IT = 5
_MAY_BE_THE_ROWS = 32  # rows that are next to each other may have the same fault

CONSEQUENCES = {
    ErrorKind.CONNECT: Consequence(Blame.SERVICE, is_retried=True, is_of_the_service=True),
    ErrorKind.DISCONNECT: Consequence(Blame.SERVICE, is_retried=True, is_of_the_service=True),
    ErrorKind.TIMEOUT: Consequence(Blame.SERVICE, is_retried=True, is_of_the_service=True),
    ErrorKind.SERVER: Consequence(Blame.SERVICE, is_retried=True, is_of_the_service=True, splits=True),
    ErrorKind.OVERLOADED: Consequence(Blame.MOMENT, is_waited_out=True, is_of_the_service=True),
    ErrorKind.RATE_LIMIT: Consequence(
        Blame.MOMENT, splits=True
    ),  # all calls are too many: it is the limiter that waits
    ErrorKind.CONFLICT: Consequence(Blame.MOMENT, is_retried=True),
    ErrorKind.NOT_JSON: Consequence(Blame.SERVICE, is_retried=True),
    ErrorKind.NO_ANSWER: Consequence(Blame.MOMENT, is_retried=True),
    # An answer that is not the API's was paid for, and the next is likely the same.
    ErrorKind.INVALID_RESPONSE: Consequence(Blame.ROW, splits=True),
    ErrorKind.TOO_LARGE: Consequence(Blame.ROW, splits=True),
    ErrorKind.POLICY: Consequence(Blame.ROW, splits=True),
    ErrorKind.BAD_REQUEST: Consequence(Blame.QUERY, splits=True, repeats=_MAY_BE_THE_ROWS),
    ErrorKind.NOT_FOUND: Consequence(Blame.QUERY, repeats=_ANY_ROW_MEETS_IT),
    ErrorKind.AUTHENTICATION: Consequence(Blame.CREDENTIAL, repeats=_ANY_ROW_MEETS_IT),
    ErrorKind.PERMISSION: Consequence(Blame.CREDENTIAL, repeats=_ANY_ROW_MEETS_IT),
    ErrorKind.QUOTA: Consequence(Blame.MONEY, repeats=_ANY_ROW_MEETS_IT),
    ErrorKind.DEADLINE: Consequence(Blame.CALLER),
    ErrorKind.CANCELLED: Consequence(Blame.CALLER),
    ErrorKind.BUDGET: Consequence(Blame.CALLER),
}
