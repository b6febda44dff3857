"""The session and the registrations are those of the Spark tests."""

from __future__ import annotations

from tests.spark.conftest import register, server, shared_server, spark

__all__ = ["register", "server", "shared_server", "spark"]
