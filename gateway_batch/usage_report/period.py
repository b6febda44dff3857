"""Which time a report is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway_batch.errors import ConfigError

_AGO = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class Period:
    """From a time on, and before another; None is no limit. A row without a time is in no period that has one."""

    since: datetime | None = None
    until: datetime | None = None


ALWAYS = Period()


def period_of(since: str | datetime | None, until: str | datetime | None, now: datetime) -> Period:
    """The period that `since` and `until` name.

    Args:
        since: `30m`, `24h`, `7d` or `2w` before now, a UTC date for its begin, an ISO time, or a datetime; UTC without
            a zone.
        until: likewise.
        now: the time that they count back from.

    Raises:
        ConfigError: one of them is none of these, or the period is empty.
    """
    period = Period(_time_of("since", since, now), _time_of("until", until, now))
    if period.since and period.until and period.since >= period.until:
        raise ConfigError(f"until {until} is not after since {since}: the period is empty")
    return period


def _time_of(name: str, text: str | datetime | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    if isinstance(text, datetime):
        return _utc(text)
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return _utc(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{name}: {text!r} is no time; give one such as 7d, 24h, 2026-11-01 or 2026-11-01T08:30:00Z"
        ) from None


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
