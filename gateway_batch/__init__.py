"""Databricks' `ai_query` for any Spark session, through an AI gateway, every request in a usage ledger.

The names below are loaded when they are first used: importing the package imports no Spark.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers, which read no `_NAMES`; a test holds the two equal
    from gateway_batch.client import Client as Client
    from gateway_batch.config import EndpointConfig as EndpointConfig
    from gateway_batch.config import GatewayConfig as GatewayConfig
    from gateway_batch.dashboard.write import write_dashboard as write_dashboard
    from gateway_batch.errors import AiFunctionError as AiFunctionError
    from gateway_batch.errors import CallError as CallError
    from gateway_batch.errors import ConfigError as ConfigError
    from gateway_batch.errors import ErrorKind as ErrorKind
    from gateway_batch.errors import GatewayBatchError as GatewayBatchError
    from gateway_batch.errors import LedgerError as LedgerError
    from gateway_batch.errors import MalformedError as MalformedError
    from gateway_batch.errors import RejectedError as RejectedError
    from gateway_batch.errors import UnreachableError as UnreachableError
    from gateway_batch.jobs.estimate import estimate_batch as estimate_batch
    from gateway_batch.jobs.report import BatchReport as BatchReport
    from gateway_batch.jobs.report import Status as Status
    from gateway_batch.jobs.run import BatchJob as BatchJob
    from gateway_batch.jobs.run import run_batch as run_batch
    from gateway_batch.response_cache.savings import Counts as Counts
    from gateway_batch.response_cache.savings import Savings as Savings
    from gateway_batch.spark import functions as functions
    from gateway_batch.spark.analytics.maintenance import Maintained as Maintained
    from gateway_batch.spark.analytics.usage_refresh import Refreshed as Refreshed
    from gateway_batch.spark.analytics.usage_refresh import refresh_usage as refresh_usage
    from gateway_batch.spark.analytics.views import create_views as create_views
    from gateway_batch.spark.estimates.extrapolation import Interval as Interval
    from gateway_batch.spark.estimates.query_estimate import CallEstimate as CallEstimate
    from gateway_batch.spark.estimates.query_estimate import estimate_query as estimate_query
    from gateway_batch.spark.estimates.request_counts import Estimate as Estimate
    from gateway_batch.spark.gateway import Gateway as Gateway
    from gateway_batch.spark.gateway import Usage as Usage
    from gateway_batch.spark.gateway import register_ai_query as register_ai_query
    from gateway_batch.spark.session.session import local_session as local_session
    from gateway_batch.types import Answer as Answer
    from gateway_batch.types import File as File
    from gateway_batch.types import ResponseFormat as ResponseFormat
    from gateway_batch.types import TokenUsage as TokenUsage
    from gateway_batch.usage_report.frame import usage_frame as usage_frame
    from gateway_batch.version import __version__ as __version__

_NAMES = {
    "client": ("Client",),
    "config": ("EndpointConfig", "GatewayConfig"),
    "dashboard.write": ("write_dashboard",),
    "errors": (
        "AiFunctionError", "CallError", "ConfigError", "ErrorKind", "GatewayBatchError", "LedgerError",
        "MalformedError", "RejectedError", "UnreachableError",
    ),
    "jobs.estimate": ("estimate_batch",),
    "spark.estimates.extrapolation": ("Interval",),
    "spark.estimates.query_estimate": ("CallEstimate", "estimate_query"),
    "jobs.report": ("BatchReport", "Status"),
    "spark.estimates.request_counts": ("Estimate",),
    "jobs.run": ("BatchJob", "run_batch"),
    "response_cache.savings": ("Counts", "Savings"),
    "spark": ("functions",),
    "spark.analytics.maintenance": ("Maintained",),
    "spark.analytics.usage_refresh": ("Refreshed", "refresh_usage"),
    "spark.analytics.views": ("create_views",),
    "spark.gateway": ("Gateway", "Usage", "register_ai_query"),
    "spark.session.session": ("local_session",),
    "types": ("Answer", "File", "ResponseFormat", "TokenUsage"),
    "usage_report.frame": ("usage_frame",),
    "version": ("__version__",),
}  # fmt: skip
"""The public names, by the module that has them."""

_HOMES = {name: home for home, names in _NAMES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name == "Image":
        warnings.warn("gb.Image is called gb.File now", DeprecationWarning, stacklevel=2)
        name = "File"
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "functions":  # a module itself
        return importlib.import_module(f"{__name__}.{home}.{name}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
