"""Who answers: the stand-ins, or the models that run on this machine."""

from __future__ import annotations

from typing import ClassVar, Protocol

from starlette.types import Receive

from gateway_batch.devgateway.ask import Answer, Ask
from gateway_batch.devgateway.catalogue import Service
from gateway_batch.devgateway.models.answering import answer


class Backend(Protocol):
    """What is behind the gateway's services.

    Attributes:
        word: for its models: stand-in or local.
        notice: what its answers are worth, for the front page and the listings.
    """

    word: ClassVar[str]
    notice: ClassVar[str]

    def named(self, service: Service) -> Service:
        """The service, with the model that answers in its place."""

    async def answer(self, ask: Ask, service: Service, receive: Receive) -> Answer:
        """The service's answer.

        Args:
            ask: the request.
            service: whose model is asked.
            receive: the request's further messages, by which a slow model sees that its caller is gone.

        Raises:
            Refusal: the model can't answer it, or isn't there.
            ClientDisconnect: the caller is gone.
        """

    def processes(self) -> dict[str, int]:
        """Those of its models that run in processes, and their ids."""

    async def close(self) -> None:
        """Stops what it started."""


class StandIns:
    """Deterministic code."""

    word: ClassVar[str] = "stand-in"
    notice: ClassVar[str] = (
        "Development gateway of gateway_batch. Its models are stand-ins: deterministic code that answers "
        "with parts of the prompt. No language model is behind it, and no answer means anything."
    )

    def named(self, service: Service) -> Service:
        """As it is: its answers name a stand-in."""
        return service

    async def answer(self, ask: Ask, service: Service, receive: Receive) -> Answer:
        """At once."""
        return answer(ask, service)

    def processes(self) -> dict[str, int]:
        """None."""
        return {}

    async def close(self) -> None:
        """Nothing was started."""
