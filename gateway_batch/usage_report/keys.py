"""What a report may be by: each key in the meaning that it has in the view `usage_invocations`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway_batch.errors import ConfigError
from gateway_batch.figures import callers

_TAG = "tag:"
_PROGRAM = "lower(user_agent)"


class Kind(StrEnum):
    """What a key's values are."""

    TEXT = "text"
    NUMBER = "number"
    DAY = "day"
    HOUR = "hour"


@dataclass(frozen=True, slots=True)
class Key:
    """What a report has a row for each value of.

    Attributes:
        name: as `by` spells it.
        sql: over the columns of `statements.INVOCATIONS`.
        columns: of `statements.OF_KEYS`, that it needs besides what every report reads.
        kind: of its values; days and hours are numbers since 1970 in SQL.
        tag: the tag's key, for a report by one.
    """

    name: str
    sql: str
    columns: tuple[str, ...] = ()
    kind: Kind = Kind.TEXT
    tag: str | None = None

    @property
    def is_time(self) -> bool:
        """Whether its values are days or hours."""
        return self.kind in (Kind.DAY, Kind.HOUR)


_KEYS = {
    key.name: key
    for key in (
        Key("endpoint", "endpoint_name"),
        Key("model", "model"),
        Key("requester", "requester"),
        Key("status", "status_code", kind=Kind.NUMBER),
        Key("hour", "hour", kind=Kind.HOUR),
        Key("day", "day", kind=Kind.DAY),
        Key("workspace", "workspace_id", ("workspace_id",)),
        Key("api", "api_type", ("api_type",)),
        Key("source", "source"),
        Key("error", "error_kind", ("error_kind",)),
        Key("agent", callers.coding_agent(_PROGRAM, "coding_agent"), ("user_agent", "coding_agent")),
        Key("framework", callers.framework(_PROGRAM), ("user_agent",)),
        Key("router", "smart_router", ("smart_router",)),
        Key("session", "client_session_id", ("client_session_id",)),
    )
}


def key_of(text: str) -> Key:
    """The key that `by` names.

    Raises:
        ConfigError: there is no such key.
    """
    if text.startswith(_TAG) and text != _TAG:
        return Key(text, "request_tags[getvariable('tag')]", ("request_tags",), tag=text.removeprefix(_TAG))
    if text not in _KEYS:
        raise ConfigError(f"by: no report by {text!r}; there are {', '.join(_KEYS)} and tag:KEY")
    return _KEYS[text]
