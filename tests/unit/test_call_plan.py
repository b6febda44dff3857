from __future__ import annotations

import pickle

from gateway_batch.admission import Limits
from gateway_batch.admission.coordination import CoordinationConfig
from gateway_batch.config import GatewayConfig, resolve_service
from gateway_batch.engine.runtime import RuntimeSettings
from gateway_batch.spark.calls.call_plan import CallerSettings, CallPlan, Input, Shape
from gateway_batch.types import ResponseFormat

SECRET = "dapi-very-secret"


def plan_of(config: GatewayConfig, registration: int = 1) -> CallPlan:
    return CallPlan(
        function="ai_query",
        service=resolve_service(config, "databricks-gpt-5-4"),
        parameters="{}",
        instructions=None,
        response_format=ResponseFormat({"type": "object"}),
        member=None,
        shape=Shape.VALUE,
        result_type='"string"',
        time_zone="UTC",
        fail_on_error=True,
        tags=(("team", "search"),),
        inputs=(Input.REQUEST, Input.TAGS),
        cache="query",
        runtime=RuntimeSettings(
            "app-1", registration, "/spool", CoordinationConfig(Limits(concurrency=8), "b"), 60.0, 600.0, 5
        ),
        caller=CallerSettings("app-1", "ana@example.com", None, None),
    )


def test_a_plan_travels_as_it_is_and_without_the_token() -> None:
    plan = plan_of(GatewayConfig.from_env(host="https://h", token=SECRET))
    travelled = pickle.dumps(plan)
    assert pickle.loads(travelled) == plan
    assert SECRET.encode() not in travelled


def test_another_registration_means_another_client() -> None:
    config = GatewayConfig.from_env(host="https://h")
    assert plan_of(config, 1).runtime == plan_of(config, 1).runtime
    assert plan_of(config, 1).runtime != plan_of(config, 2).runtime
