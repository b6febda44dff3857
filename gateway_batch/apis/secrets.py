"""Hides tokens and other secrets that a server echoes: in the answer as it came, and in texts made of it."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from gateway_batch.types import HttpReply

_SHOWN_AS = "***"
_SHORTEST = 4
_SHORTEST_IN_A_RESULT = 16  # shorter ones, such as `EMPTY`, may be words of an answer
_SHORTEST_BEGIN = 8


def hide_token(reply: HttpReply, *tokens: str | None) -> HttpReply:
    """The answer with `***` in the place of the secrets that its request carried, as far as they stand there as sent.

    What `masked` finds besides, such as an escaped one, is found once the answer has been read.
    """
    for token in tokens:
        if token is not None and len(token) >= _SHORTEST:
            reply = _without(reply, token)
    return reply


def _without(reply: HttpReply, token: str) -> HttpReply:
    body, sent = reply.body, token.encode()
    is_result = 200 <= reply.status < 300
    if (not is_result or len(token) >= _SHORTEST_IN_A_RESULT) and sent in body:
        body = body.replace(sent, _SHOWN_AS.encode())
    return HttpReply(reply.status, _WithoutToken(reply.headers, token), body, reply.received_at)


def masked(text: str, *tokens: str | None) -> str:
    """A text without secrets: in any case, percent-encoded, in base64, and cut off at the text's end."""
    for token in tokens:
        if token is not None and len(token) >= _SHORTEST:
            text = _masked(text, token)
    return text


def _masked(text: str, token: str) -> str:
    text = _forms(token).sub(_SHOWN_AS, text)
    for length in range(min(len(token) - 1, len(text)), _SHORTEST_BEGIN - 1, -1):
        if text[-length:].lower() == token[:length].lower():
            return text[:-length] + _SHOWN_AS
    return text


class _WithoutToken(Mapping[str, str]):
    def __init__(self, headers: Mapping[str, str], token: str) -> None:
        self._headers = headers
        self._token = token

    def __getitem__(self, name: str) -> str:
        value = self._headers[name]
        return value if len(value) < len(self._token) else _forms(self._token).sub(_SHOWN_AS, value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)


@functools.lru_cache(64)
def _forms(token: str) -> re.Pattern[str]:
    forms = [token, quote(token, safe="")]
    for pair in (token, f"token:{token}"):
        forms.append(base64.b64encode(pair.encode()).decode().rstrip("="))
    return re.compile("|".join(map(re.escape, dict.fromkeys(forms))), re.IGNORECASE)
