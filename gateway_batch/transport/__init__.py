"""The seam to the network: one method, request in, reply out."""

from gateway_batch.transport.base import Transport
from gateway_batch.transport.fake import FakeTransport
from gateway_batch.transport.selection import open_transport

__all__ = ["FakeTransport", "Transport", "open_transport"]
