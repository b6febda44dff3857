"""The development gateway: stands in for Databricks' Unity AI Gateway, so that all of this runs with no account.

Its models are stand-ins, deterministic code that answers with parts of the prompt, or small real ones on this machine.
"""

from __future__ import annotations

from gateway_batch.devgateway.app import create_app
from gateway_batch.devgateway.process import RunningGateway, running, started
from gateway_batch.devgateway.server import serve
from gateway_batch.devgateway.settings import Fault, Models, ServiceSettings, Settings, read_services

__all__ = [
    "Fault",
    "Models",
    "RunningGateway",
    "ServiceSettings",
    "Settings",
    "create_app",
    "read_services",
    "running",
    "serve",
    "started",
]
