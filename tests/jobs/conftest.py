"""Batch jobs and estimates: the session, gateway and registrations of tests/spark, in a process of its own."""

from __future__ import annotations

from tests.spark.conftest import gateway, register, requests, server, shared_server, spark

__all__ = ["gateway", "register", "requests", "server", "shared_server", "spark"]
