"""One model route: from a request's arrival to its answer and its usage row."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from uuid import uuid4

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from gateway_batch.devgateway import tags
from gateway_batch.devgateway.ask import DENIED, Answer, Ask, JsonObject, TokenCounts
from gateway_batch.devgateway.catalogue import Service
from gateway_batch.devgateway.credentials import check_credentials
from gateway_batch.devgateway.delivery import Delivery
from gateway_batch.devgateway.real_answers import RealAnswer, real_answer
from gateway_batch.devgateway.receipt import Receipt
from gateway_batch.devgateway.refusals import Refusal, invalid, unknown_model
from gateway_batch.devgateway.settings import Fault
from gateway_batch.devgateway.state import State
from gateway_batch.devgateway.wire import Wire
from gateway_batch.devgateway.wire.format import Exchange

POLICY = {
    "name": "stand-in-policy",
    "action": "deny",
    "phase": "pre_call",
    "reason": "Denied by a scripted policy.",
}
_log = logging.getLogger(__name__)
_PAGE = b"<!doctype html><title>Bad gateway</title><p>This is no JSON, as the fault script asked.</p>"


class ModelRoute:
    """The ASGI app of one route in one wire format."""

    def __init__(self, state: State, wire: Wire) -> None:
        self._state = state
        self._wire = wire

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, and writes its row whatever becomes of it."""
        receipt = Receipt.of(scope, self._wire.api_type, scope["state"]["request_id"])
        self._state.stats.enter()
        try:
            delivery = await self._answer(receipt, Request(scope, receive))
        except ClientDisconnect:
            delivery = Delivery(status=None)
        except Refusal as refusal:
            delivery = self._refuse(refusal)
        except Exception:  # a fault of this code: it too has to have a row and an answer
            _log.exception("request %s failed", receipt.request_id)
            delivery = self._refuse(Refusal(500, "The development gateway itself failed; its stderr says how."))
        await delivery.send(
            scope,
            receive,
            send,
            begin=lambda: self._begin(receipt),
            record=lambda: self._record(receipt, delivery),
        )

    async def _answer(self, receipt: Receipt, request: Request) -> Delivery:
        check_credentials(request.headers.get("authorization"), self._state.token, self._state.issued_tokens)
        receipt.known = True
        ask = self._read(receipt, await request.body(), request)
        service = self._service(ask.model)
        self._check_kind(ask.model, service)
        receipt.service = service
        seen = self._state.stats.see(ask.prompt)
        meter = self._state.meter(service)
        headers = meter.admit(service.name, time.monotonic())
        receipt.routed = True
        fault = self._state.fault(service, ask.prompt, seen)
        if (latency_s := self._latency_s(service, fault)) > 0:
            await asyncio.sleep(latency_s)
        backend = self._state.backend
        said = await backend.answer(ask, service, request.receive)
        said = self._state.prompt_cache.counted(service.name, ask, said, time.monotonic())
        exchange = Exchange(ask, said, backend.named(service), number=uuid4().hex, created=int(time.time()))
        delivery = self._deliver(exchange, fault)
        meter.book(delivery.tokens.total_tokens if delivery.tokens else 0)
        return replace(delivery, headers={**headers, **delivery.headers})

    def _read(self, receipt: Receipt, body: bytes, request: Request) -> Ask:
        """The request; notes what it is about even if it is refused. A model in the path is as one in the body."""
        parsed = _parsed(body)
        fields = parsed if isinstance(parsed, dict) else {}
        name = request.path_params.get("model", fields.get("model"))
        receipt.endpoint_name = name if isinstance(name, str) else None
        receipt.tags = tags.read_tags(receipt.headers.get(tags.HEADER))
        if not isinstance(parsed, dict):
            raise Refusal(400, "The request body must be a JSON object.")
        if receipt.endpoint_name:
            self._service(receipt.endpoint_name)
        parameters = {**request.query_params, **request.path_params}
        return self._wire.read({**parsed, **request.path_params}, parameters)

    def _service(self, name: str) -> Service:
        service = self._state.catalogue.find(name)
        if service is None:
            raise unknown_model(name, self._state.catalogue.near(name))
        return service

    def _check_kind(self, name: str, service: Service) -> None:
        if service.kind is not self._wire.kind:
            raise invalid(
                f"{name!r} is a model service for {service.kind}; "
                f"{self._wire.api_type} needs one for {self._wire.kind}."
            )

    def _latency_s(self, service: Service, fault: Fault | None) -> float:
        usual = self._state.behaviour(service).latency_ms or 0
        scripted = fault.latency_ms if fault else None
        return (usual if scripted is None else scripted) / 1000

    def _deliver(self, exchange: Exchange, fault: Fault | None) -> Delivery:
        if fault is None:
            return self._say(exchange)
        delivery = self._deliver_fault(exchange, fault)
        return replace(delivery, headers={**delivery.headers, **fault.headers})

    def _deliver_fault(self, exchange: Exchange, fault: Fault) -> Delivery:
        if fault.status is not None:
            raise _scripted(fault, fault.status)
        if fault.answer is not None:
            return _played(real_answer(fault.answer))
        if fault.disconnect:
            return Delivery(status=None)
        if fault.not_json:
            return Delivery(status=200, content_type="text/html", frames=(_PAGE,))
        if fault.policy:
            return self._deny(exchange, fault)
        said = self._say(_with_tokens(exchange, fault.tokens), cut=fault.truncate)
        return said if said.tokens is None else replace(said, tokens=exchange.answer.tokens)

    def _say(self, exchange: Exchange, *, cut: bool = False) -> Delivery:
        if exchange.ask.stream:
            return self._stream(exchange, cut=cut)
        return self._whole(self._wire.body(exchange), exchange.answer, cut=cut)

    def _whole(self, body: JsonObject, said: Answer, *, cut: bool = False) -> Delivery:
        return Delivery(
            status=200,
            content_type="application/json",
            frames=(orjson.dumps(body),),
            tokens=said.tokens if self._wire.is_metered else None,
            cut=cut,
        )

    def _stream(self, exchange: Exchange, *, cut: bool) -> Delivery:
        return Delivery(
            status=200,
            content_type=self._wire.stream_type(exchange.ask),
            frames=self._wire.events(exchange),
            streamed=True,
            cut=cut,
            tokens=exchange.answer.tokens,
            pause_ms=self._state.behaviour(exchange.service).stream_pause_ms or 0,
        )

    def _deny(self, exchange: Exchange, fault: Fault) -> Delivery:
        """A policy denial; it isn't streamed, as nothing is."""
        policy = POLICY | ({"reason": fault.message} if fault.message else {})
        body = self._wire.body(replace(exchange, answer=DENIED))
        denied = {**body, "id": "databricks-guardrail-block", "databricks_service_policy": policy}
        return self._whole(denied, DENIED)

    def _refuse(self, refusal: Refusal) -> Delivery:
        return Delivery(
            status=refusal.status,
            content_type="application/json",
            frames=(orjson.dumps(self._wire.error(refusal)),),
            headers=refusal.headers,
            error_code=refusal.error_code,
        )

    def _begin(self, receipt: Receipt) -> None:
        receipt.first_byte_ms = receipt.elapsed_ms

    def _record(self, receipt: Receipt, delivery: Delivery) -> None:
        receipt.status = delivery.status
        receipt.error_code = delivery.error_code
        receipt.content_type = delivery.content_type or None
        receipt.tokens = delivery.tokens
        self._state.stats.leave(delivery.status, receipt.service.name if receipt.service else None)
        self._state.ledger.write(receipt.usage(), receipt.client_request_id)


def _with_tokens(exchange: Exchange, tokens: int | None) -> Exchange:
    if tokens is None:
        return exchange
    return replace(exchange, answer=replace(exchange.answer, tokens=TokenCounts(tokens, tokens)))


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"The request body is not JSON: {error}") from error


def _played(answer: RealAnswer) -> Delivery:
    """A real service's answer as it is, but for its request id: that is this gateway's."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "content-type")}
    given, said = answer.input_tokens, answer.output_tokens
    counted = answer.status < 300 and given is not None and said is not None
    return Delivery(
        status=answer.status,
        content_type=answer.headers.get("content-type", ""),
        frames=(answer.body.encode(),),
        headers=headers,
        tokens=TokenCounts(given or 0, said or 0) if counted else None,
    )


def _scripted(fault: Fault, status: int) -> Refusal:
    headers = fault.headers if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}", **fault.headers}
    message = fault.message or f"Scripted fault: {status}."
    return Refusal(status, message, error_code=fault.error_code, headers=headers)
