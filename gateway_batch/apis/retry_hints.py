"""How long a refusal asks to wait, in every form that servers have for it. Pure."""

from __future__ import annotations

import email.utils
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

_MONTH_S = 31 * 86_400.0

_SECONDS = re.compile(r"\d{1,12}(\.\d{1,9})?s", re.ASCII)
_PREFIX = "llm_provider-"  # of a provider's own headers, as LiteLLM passes them on
_WORDS = re.compile(
    r"(?:try(?: your request)? again|retry|wait|available)[^.\d]{0,40}?"
    r"(\d{1,7}(?:\.\d{1,9})?(?:h|m(?!s)|ms|s)?(?:[\d.]{1,9}(?:ms|m|s))*)\s?(milliseconds?|seconds?|minutes?)?\b",
    re.IGNORECASE,
)
_UNITS = {"m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$")


def retry_info_s(details: Iterable[Mapping[str, Any]]) -> float | None:
    """Seconds to wait by Google's `google.rpc.RetryInfo` in an error's details, written as `"3.5s"`; None without."""
    delays = (detail.get("retryDelay") for detail in details)
    seconds = (float(delay[:-1]) for delay in delays if isinstance(delay, str) and _SECONDS.fullmatch(delay))
    return _believed(next(seconds, None))


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait that the server asked for, None if it named none, or a time that nobody can mean.

    Reads `retry-after-ms`, `retry-after` (seconds, an epoch time, an HTTP date or a duration as `30s`) and, without
    those, the longest `x-ratelimit-reset-*` or `anthropic-ratelimit-*-reset` of a quota that has nothing remaining; the
    server's own, else its provider's behind `llm_provider-`.
    """
    wait_s = _asked_in(headers, now)
    if wait_s is None and any(name.startswith(_PREFIX) for name in headers):
        providers = {name.removeprefix(_PREFIX): value for name, value in headers.items() if name.startswith(_PREFIX)}
        wait_s = _asked_in(providers, now)
    return wait_s


def retry_words_s(message: str) -> float | None:
    """Seconds to wait by an error's message, as in `Please try again in 1.5s` or `6m0s`; None if it has none."""
    found = _WORDS.search(message)
    if found is None:
        return None
    asked, unit = found[1].lower(), (found[2] or "").lower()
    number = _number(asked)
    if number is not None:
        scale = 0.001 if unit.startswith("milli") else _UNITS.get(unit[:1])
        return None if scale is None else _believed(number * scale)
    return _believed(_duration_s(asked))


def _asked_in(headers: Mapping[str, str], now: float) -> float | None:
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _believed(milliseconds / 1000)
    after = headers.get("retry-after")
    if after is not None:
        return _believed(_wait_s(after, now))
    resets = [
        wait
        for name, value in headers.items()
        if name.startswith(("x-ratelimit-reset", "anthropic-ratelimit-"))
        and "-reset" in name
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
        moment = datetime.fromisoformat(text) if text[:4].isdecimal() else email.utils.parsedate_to_datetime(text)
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
    total = _duration_s(text.strip())
    return _until_date(text, now) if total is None else total


def _duration_s(text: str) -> float | None:
    parts = _DURATION.match(text)
    if not parts or not any(parts.groups()):
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in parts.groups())
    total = hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    return total if math.isfinite(total) else math.inf


def _believed(seconds: float | None) -> float | None:
    """A time to wait; None where it is longer than the longest period of any quota, a month."""
    return seconds if seconds is not None and seconds <= _MONTH_S else None
