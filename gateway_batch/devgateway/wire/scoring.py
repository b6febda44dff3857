"""MLflow's scoring protocol, as Databricks' custom serving endpoints speak it. The endpoint stands in the path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import orjson

from gateway_batch.devgateway.ask import Ask, JsonObject, Kind, Turn
from gateway_batch.devgateway.refusals import Refusal, databricks_error
from gateway_batch.devgateway.wire import fields
from gateway_batch.devgateway.wire.format import Exchange


@dataclass(frozen=True, slots=True)
class Scoring:
    """One score per record. Records come as `dataframe_records`; `params` is taken and not used."""

    api_type: str = "mlflow/v1/invocations"
    kind: Kind = Kind.SCORING
    is_metered: bool = False

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request: a list of records."""
        fields.optional_object(body, "params")
        records = fields.objects(body, "dataframe_records")
        return Ask(model=parameters["model"], turns=tuple(Turn("user", _plain(record)) for record in records))

    def body(self, exchange: Exchange) -> JsonObject:
        """The scores, in the order of the records."""
        return {"predictions": list(exchange.answer.scores)}

    def events(self, exchange: Exchange) -> Iterator[bytes]:
        """Scores are not streamed, and no request can ask for it."""
        raise NotImplementedError

    def stream_type(self, ask: Ask) -> str:
        """Scores are not streamed."""
        raise NotImplementedError

    def error(self, refusal: Refusal) -> JsonObject:
        """Databricks' body alone."""
        return databricks_error(refusal)


def _plain(record: JsonObject) -> str:
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS).decode()
