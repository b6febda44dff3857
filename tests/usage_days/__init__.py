"""Invented but realistic days of `system.ai_gateway.usage`, for tests and benchmarks of what reads it.

They are made by numpy and pyarrow alone, deterministic for a seed: 10 million rows take a minute or two on two cores.
They are kept with the tests, not in the package: a user who finds invented rows in a usage table is misled by them.

- `workloads`: who calls what, how often, with which tokens, latencies and failures.
- `rows`: the columns of a number of calls.
- `days`: batches of days, and files of them, Parquet or a Delta table.
"""

from tests.usage_days.days import usage_days, write_delta, write_parquet

__all__ = ["usage_days", "write_delta", "write_parquet"]
