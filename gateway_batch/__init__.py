"""Databricks' `ai_query` for any Spark session, through an AI gateway, every request in a usage ledger.

The names below are loaded when they are first used: importing the package imports no Spark.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway_batch.client import Client
    from gateway_batch.config import EndpointConfig, GatewayConfig
    from gateway_batch.dashboard.write import write_dashboard
    from gateway_batch.errors import (
        AiFunctionError,
        CallError,
        ConfigError,
        GatewayBatchError,
        LedgerError,
        MalformedError,
        RejectedError,
        UnreachableError,
    )
    from gateway_batch.jobs.estimate import estimate_batch
    from gateway_batch.jobs.query_estimate import CallEstimate, estimate_query
    from gateway_batch.jobs.report import BatchReport
    from gateway_batch.jobs.request_counts import Estimate
    from gateway_batch.jobs.run import BatchJob, run_batch
    from gateway_batch.spark import functions
    from gateway_batch.spark.analytics.usage_refresh import refresh_usage
    from gateway_batch.spark.analytics.views import create_views
    from gateway_batch.spark.gateway import Gateway, register_ai_query
    from gateway_batch.spark.session.session import local_session
    from gateway_batch.types import Image, ResponseFormat

_HOMES = {
    "AiFunctionError": "errors",
    "BatchJob": "jobs.run",
    "BatchReport": "jobs.report",
    "CallError": "errors",
    "CallEstimate": "jobs.query_estimate",
    "Client": "client",
    "ConfigError": "errors",
    "EndpointConfig": "config",
    "Estimate": "jobs.request_counts",
    "Gateway": "spark.gateway",
    "GatewayBatchError": "errors",
    "GatewayConfig": "config",
    "Image": "types",
    "LedgerError": "errors",
    "MalformedError": "errors",
    "RejectedError": "errors",
    "ResponseFormat": "types",
    "UnreachableError": "errors",
    "create_views": "spark.analytics.views",
    "estimate_batch": "jobs.estimate",
    "estimate_query": "jobs.query_estimate",
    "functions": "spark.functions",
    "local_session": "spark.session.session",
    "refresh_usage": "spark.analytics.usage_refresh",
    "register_ai_query": "spark.gateway",
    "run_batch": "jobs.run",
    "write_dashboard": "dashboard.write",
}

__all__ = [
    "AiFunctionError",
    "BatchJob",
    "BatchReport",
    "CallError",
    "CallEstimate",
    "Client",
    "ConfigError",
    "EndpointConfig",
    "Estimate",
    "Gateway",
    "GatewayBatchError",
    "GatewayConfig",
    "Image",
    "LedgerError",
    "MalformedError",
    "RejectedError",
    "ResponseFormat",
    "UnreachableError",
    "create_views",
    "estimate_batch",
    "estimate_query",
    "functions",
    "local_session",
    "refresh_usage",
    "register_ai_query",
    "run_batch",
    "write_dashboard",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{home}")
    return module if home == f"spark.{name}" else getattr(module, name)
