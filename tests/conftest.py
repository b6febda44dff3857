"""Every JVM that the tests start, in processes of their own too, starts quickly."""

from __future__ import annotations

import os

from tests.quick_start import quick_driver

os.environ.setdefault("SPARK_SUBMIT_OPTS", quick_driver())
