"""What every wire format does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson

from gateway_batch.devgateway.ask import Answer, Ask, Finish, JsonObject, Kind
from gateway_batch.devgateway.catalogue import Service
from gateway_batch.devgateway.refusals import Refusal

_PIECE = re.compile(r"\s*\S+(?:\s+\S+){0,3}\s*$|\s*\S+(?:\s+\S+){0,3}")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that is being answered. `number` is what its ids are made of, `created` its time in seconds."""

    ask: Ask
    answer: Answer
    service: Service
    number: str
    created: int

    @property
    def called(self) -> str | None:
        """The tool that the answer calls: its text is the arguments then."""
        return None if self.answer.finish is Finish.CONTENT_FILTER else self.ask.tool


class Wire(Protocol):
    """One vendor's format. Pure: no I/O, no clock."""

    @property
    def api_type(self) -> str:
        """As in the usage table's column."""

    @property
    def kind(self) -> Kind:
        """What services it is for."""

    @property
    def is_metered(self) -> bool:
        """Whether its answers use up tokens."""

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request; `parameters` are those of path and query. A model in the path is in the body too.

        Raises:
            Refusal: 400.
        """

    def body(self, exchange: Exchange) -> JsonObject:
        """The whole answer."""

    def events(self, exchange: Exchange) -> Iterator[bytes]:
        """The answer as a stream, in pieces ready to send."""

    def stream_type(self, ask: Ask) -> str:
        """The stream's Content-Type."""

    def error(self, refusal: Refusal) -> JsonObject:
        """The body of a refusal."""


def pieces(text: str) -> list[str]:
    """A text in parts of a few words, which together are the text."""
    return _PIECE.findall(text) or ([text] if text else [])


def sse(data: JsonObject, event: str | None = None) -> bytes:
    """One server-sent event."""
    name = b"" if event is None else b"event: %s\n" % event.encode()
    return b"%sdata: %s\n\n" % (name, orjson.dumps(data))
