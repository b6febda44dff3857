"""The seam to the network: one method, request in, reply out."""

from gateway_batch.transport.base import Transport
from gateway_batch.transport.fake import FakeTransport
from gateway_batch.transport.reqwest import ReqwestTransport

__all__ = ["FakeTransport", "ReqwestTransport", "Transport"]
