"""What figures depend on: the machine and the versions. No names."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

_PACKAGES = ("gateway-batch", "pyspark", "delta-spark", "pyarrow", "pyreqwest", "orjson", "uvloop", "httptools")


def describe_machine() -> dict[str, Any]:
    """Processor, memory, system, and how busy it is just now (load over the last minute)."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": cores(),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": os.getloadavg()[0],
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def describe_versions() -> dict[str, str]:
    """Python's version and those of the packages that matter."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _PACKAGES}
