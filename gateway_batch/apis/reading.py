"""The border around an answer: whatever it holds, it is a result or the error of its row, and shows no secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from gateway_batch.apis.registry import Api
from gateway_batch.apis.replies import invalid_response
from gateway_batch.errors import CallError, MalformedError
from gateway_batch.types import HttpReply, InferenceResult, JsonObject

_SHOWN_AS = "***"
_SHORTEST_SECRET = 4
_SHORTEST_SECRET_IN_A_RESULT = 16  # shorter ones, such as `EMPTY`, may be words of an answer
_LAST_BLOCKS = 4


def read_answer(api: Api[Any], reply: HttpReply) -> InferenceResult:
    """What an answer says.

    Raises:
        CallError: it is a refusal, or none that can be read; `paid` has the tokens that it reports all the same.
    """
    try:
        return api.parse(reply)
    except MalformedError as error:
        if error.paid is None and (paid := _paid(api, reply)) is not None:
            what = str(error)
            raise invalid_response(reply, what, paid) from None
        raise
    except CallError:
        raise
    except Exception as error:
        what = f"the answer can't be read ({type(error).__name__})"
        raise invalid_response(reply, what, _paid(api, reply)) from None


def hide_secret(reply: HttpReply, secret: str | None) -> HttpReply:
    """The answer, with `***` in the place of the secret that its request carried, which some gateways echo."""
    if secret is None or len(secret) < _SHORTEST_SECRET:
        return reply
    body = reply.body
    if not 200 <= reply.status < 300:
        for form in (secret, quote(secret, safe=""), secret.replace("/", "\\/")):
            body = body.replace(form.encode(), _SHOWN_AS.encode())
    elif len(secret) >= _SHORTEST_SECRET_IN_A_RESULT and secret.encode() in body:
        body = body.replace(secret.encode(), _SHOWN_AS.encode())
    return HttpReply(reply.status, _WithoutSecret(reply.headers, secret), body, reply.received_at)


class _WithoutSecret(Mapping[str, str]):
    def __init__(self, headers: Mapping[str, str], secret: str) -> None:
        self._headers = headers
        self._secret = secret

    def __getitem__(self, name: str) -> str:
        return self._headers[name].replace(self._secret, _SHOWN_AS)

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)


def _paid(api: Api[Any], reply: HttpReply) -> InferenceResult | None:
    """The tokens in the last usage block of an answer that is not understood; None where there are none."""
    if not 200 <= reply.status < 300:
        return None
    found = list(re.finditer(rb'"(usage|usageMetadata)"\s*:\s*(?=\{)', reply.body))[-_LAST_BLOCKS:]
    for match in reversed(found):
        block = _object_at(reply.body, match.end())
        if block is not None:
            usage = api.usage({match[1].decode(): block}, reply)
            if usage.total_tokens is not None or usage.output_tokens is not None:
                return InferenceResult("", usage=usage)
    return None


def _object_at(body: bytes, start: int) -> JsonObject | None:
    try:
        found = json.JSONDecoder().raw_decode(body[start : start + _LONGEST_BLOCK].decode("utf-8", "ignore"))[0]
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


_LONGEST_BLOCK = 65_536
