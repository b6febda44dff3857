"""Whatever a caller asks for is a request of JSON or a CallError, and stays as the caller made it."""

from __future__ import annotations

from copy import deepcopy

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway_batch.apis import API_TYPES, api_for, task_of
from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.types import (
    AnyRequest,
    EmbeddingRequest,
    File,
    HttpRequest,
    InferenceRequest,
    RecordRequest,
    ResponseFormat,
    Service,
    Task,
)

WHOLE = st.text(max_size=20)
TEXT = WHOLE | WHOLE | WHOLE | st.text(st.characters(exclude_categories=()), max_size=20)  # with half surrogate pairs
NAMES = TEXT | st.sampled_from(["max_tokens", "stop", "text", "output_config", "tools", "response_format", "top_p"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
PARAMETERS = st.dictionaries(NAMES, VALUES, max_size=4)
FORMATS = st.none() | st.builds(ResponseFormat, st.none() | st.dictionaries(TEXT, VALUES, max_size=3), TEXT)
FILES = st.lists(st.builds(File, st.binary(max_size=9), st.sampled_from(["image/png", "image/jpeg"])), max_size=2)
REQUESTS: dict[Task, st.SearchStrategy[AnyRequest]] = {
    Task.CHAT: st.builds(
        InferenceRequest,
        TEXT,
        PARAMETERS,
        instructions=st.none() | TEXT,
        response_format=FORMATS,
        files=FILES.map(tuple),
    ),
    Task.EMBEDDINGS: st.builds(EmbeddingRequest, st.lists(TEXT, min_size=1, max_size=3).map(tuple), PARAMETERS),
    Task.SCORING: st.builds(RecordRequest, st.dictionaries(TEXT, VALUES, max_size=4), PARAMETERS),
}


def built(api: str, call: AnyRequest, service: Service) -> HttpRequest | CallError:
    try:
        return api_for(api).build(call, service)
    except CallError as error:
        return error


@pytest.mark.parametrize("examples", [100, pytest.param(250, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("api", API_TYPES)
def test_any_call_is_a_request_of_json_or_a_call_error(api: str, examples: int) -> None:
    service = Service(endpoint="e", api=api, url="https://h/route", model="m")

    @settings(max_examples=examples, deadline=None)
    @given(call=REQUESTS[task_of(api)])
    def check(call: AnyRequest) -> None:
        before = deepcopy(call)
        outcome = built(api, call, service)
        if isinstance(outcome, CallError):
            assert outcome.kind is ErrorKind.BAD_REQUEST
            assert len(str(outcome)) < 200
        else:
            assert isinstance(orjson.loads(outcome.body), dict)
            assert outcome == built(api, call, service)
        assert repr(call) == repr(before)

    check()


def test_half_a_surrogate_pair_is_told_without_the_text() -> None:
    service = Service(endpoint="e", api="mlflow/v1/chat/completions", url="https://h/route", model="m")
    with pytest.raises(CallError, match="can't be written as JSON: str is not valid UTF-8") as caught:
        api_for(service.api).build(InferenceRequest("secret \ud800"), service)
    assert "secret" not in str(caught.value)
