"""How long a refusal asks to wait, in every form that servers have for it. Pure."""

from __future__ import annotations

import email.utils
import math
import re
from collections.abc import Mapping
from datetime import UTC
from typing import Any

_MONTH_S = 31 * 86_400.0

_SECONDS = re.compile(r"\d{1,12}(\.\d{1,9})?s", re.ASCII)
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$")


def retry_info_s(body: Any) -> float | None:
    """Seconds to wait by Google's `google.rpc.RetryInfo` in an error's details, written as `"3.5s"`; None without."""
    match body:
        case {"error": {"details": [*details]}}:
            delays = (detail.get("retryDelay") for detail in details if isinstance(detail, dict))
            seconds = (float(d[:-1]) for d in delays if isinstance(d, str) and _SECONDS.fullmatch(d))
            return _believed(next(seconds, None))
    return None


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait that the server asked for, None if it named none, or a time that nobody can mean.

    Reads `retry-after-ms`, `retry-after` (seconds, an epoch time, an HTTP date or a duration as `30s`) and, without
    those, the longest `x-ratelimit-reset-*` of a quota whose `x-ratelimit-remaining-*` is not above zero.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _believed(milliseconds / 1000)
    after = headers.get("retry-after")
    if after is not None:
        return _believed(_wait_s(after, now))
    resets = [
        wait
        for name, value in headers.items()
        if name.startswith("x-ratelimit-reset")
        and (_number(headers.get(name.replace("-reset", "-remaining", 1))) or 0) <= 0
        and (wait := _believed(_wait_s(value, now))) is not None
    ]
    return max(resets, default=None)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < float("inf") else None


def _until_date(text: str, now: float) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)


def _wait_s(text: str, now: float) -> float | None:
    """Seconds, an epoch time, an HTTP date, or a duration such as `1m30s` or `20ms`."""
    seconds = _number(text)
    if seconds is not None:
        if seconds > 1e11:  # an epoch time in milliseconds
            seconds /= 1000
        return max(0.0, seconds - now) if seconds > 1e9 else seconds
    parts = _DURATION.match(text.strip())
    if parts and any(parts.groups()):
        hours, minutes, secs, milliseconds = (float(part or 0) for part in parts.groups())
        total = hours * 3600 + minutes * 60 + secs + milliseconds / 1000
        return total if math.isfinite(total) else None
    return _until_date(text, now)


def _believed(seconds: float | None) -> float | None:
    """A time to wait; None where it is longer than the longest period of any quota, a month."""
    return seconds if seconds is not None and seconds <= _MONTH_S else None
