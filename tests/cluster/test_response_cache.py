"""What is paid when a second host does the same work: a speculative copy of a slow task."""

from __future__ import annotations

import pytest

from gateway_batch.spark.ledger.reconcile import classes_reconcile
from tests.cluster.conftest import MODEL, Register
from tests.redis_server import RedisServer
from tests.waiting import wait_until

SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.quantile": "0.5",
    "spark.speculation.multiplier": "1.1",
    "spark.speculation.minTaskRuntime": "500ms",
}
ROWS = 40


@pytest.mark.parametrize(
    "shared", [pytest.param(False, id="answers kept on each host"), pytest.param(True, id="answers shared in Redis")]
)
def test_speculation(register: Register, redis: RedisServer, *, shared: bool) -> None:
    settings = {"coordination": redis.url, "coordination_name": "speculation"} if shared else {}
    on = register(spark=SPECULATION, **settings)
    on.spark.range(0, 2, 1, 2).selectExpr(f"ai_query('{MODEL}', 'to start the workers ' || id)").collect()
    on.server.reset()
    on.server.configure(latency_ms=50, faults=[{"match": "slow", "times_per_prompt": 1, "latency_ms": 6000}])
    prompt = f"IF(id < {ROWS // 2}, 'a slow lake ', 'a lake ') || id"
    rows = on.spark.range(0, ROWS, 1, 2).selectExpr("id", f"ai_query('{MODEL}', {prompt}) AS answer").collect()
    assert [row.id for row in rows] == list(range(ROWS))
    assert any(task.speculative for task in on.tasks()), "Spark did not speculate"
    wait_until(lambda: {task.status for task in on.tasks() if task.speculative} <= {"SUCCESS", "KILLED"})
    assert classes_reconcile(on.classes())
    wait_until(lambda: on.server.stats()["in_flight"] == 0)
    stats = on.server.stats()
    assert stats["distinct_prompts"] == ROWS
    assert stats["requests"] == (ROWS if shared else ROWS + ROWS // 2)
