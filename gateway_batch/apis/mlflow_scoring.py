"""MLflow's scoring protocol: Databricks' custom serving endpoints and `mlflow models serve`."""

from __future__ import annotations

import orjson

from gateway_batch.apis.parameter_table import Dialect
from gateway_batch.apis.replies import check_error, check_policy, invalid_response, json_object
from gateway_batch.apis.requests import json_request
from gateway_batch.types import (
    NO_USAGE,
    HttpReply,
    HttpRequest,
    InferenceResult,
    JsonObject,
    RecordRequest,
    Service,
    Task,
    TokenUsage,
)


class MlflowScoring:
    """Invocations of a custom model, one record a request. The model stands in the URL; no tokens are reported."""

    task = Task.SCORING
    reserved = frozenset({"dataframe_records", "dataframe_split", "instances", "inputs"})
    unsupported: frozenset[str] = frozenset()
    dialect: Dialect | None = None

    def build(self, call: RecordRequest, service: Service) -> HttpRequest:
        """POST `{dataframe_records: [record], params}`."""
        record = call.record if isinstance(call.record, orjson.Fragment) else dict(call.record)
        body: JsonObject = {"dataframe_records": [record]}
        if call.parameters:
            body["params"] = dict(call.parameters)
        return json_request(service, body)

    def parse(self, reply: HttpReply) -> InferenceResult:
        """The one prediction; `predictions` that is no list is the prediction itself."""
        body = json_object(reply, exact=True)
        check_policy(body, reply, InferenceResult(""))
        check_error(body, reply, InferenceResult(""))
        if "predictions" not in body:
            raise invalid_response(reply, "no predictions")
        match body["predictions"]:
            case [prediction]:
                return InferenceResult(prediction)
            case [*several]:
                raise invalid_response(reply, f"{len(several)} predictions for one record")
            case prediction:
                return InferenceResult(prediction)

    def usage(self, body: JsonObject, reply: HttpReply) -> TokenUsage:
        """Nothing: custom models have no tokens."""
        return NO_USAGE
