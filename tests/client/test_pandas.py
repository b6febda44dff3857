"""`series.ai` against the real gateway: what it sends is in the ledger, however its process ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import gateway_batch.pandas as ai
from gateway_batch.devgateway import RunningGateway
from gateway_batch.errors import CallError
from tests.unit.samples import sealed_rows

from . import scripts
from .conftest import GatewayRecord, Open, ours

MODEL = "databricks-gpt-5-4"
VECTORS = "databricks-gte-large-en"
TEXTS = pd.Series(["A lake is deep.", None, "A pond is not.", "A lake is deep."], index=list("abcd"), name="text")


@pytest.fixture(autouse=True)
def shared(open_client: Open) -> Iterator[None]:
    ai.configure(client=open_client())
    yield
    ai.configure()


def test_what_a_series_asks_is_in_the_ledger_once(
    open_client: Open, spool_dir: Path, gateway_record: GatewayRecord
) -> None:
    client = open_client()
    ai.configure(client=client)
    answers, vectors = TEXTS.ai.query(MODEL), TEXTS.ai.embed(VECTORS)
    one, other = client.query_many(MODEL, TEXTS[["a", "c"]])
    assert list(answers) == [one, None, other, one]
    assert vectors["a"] == vectors["d"] != vectors["c"]
    assert vectors["b"] is None
    client.close()
    rows = ours(sealed_rows(spool_dir))
    assert len(rows) == 2 + 1 + 2, "two prompts, one request of vectors, and those to compare with"
    assert rows == gateway_record()


def test_a_failed_call_is_the_text_of_its_error(server: RunningGateway) -> None:
    server.configure(faults=[{"match": "pond", "status": 400}])
    frame = TEXTS.ai.query(MODEL, fail_on_error=False)
    assert frame["error"].notna().tolist() == [False, False, True, False]
    assert frame["result"].notna().tolist() == [True, False, False, True]
    with pytest.raises(CallError) as caught:
        TEXTS.ai.query(MODEL)
    assert str(caught.value) == frame["error"]["c"]


@pytest.mark.parametrize(("script", "rows"), [(scripts.OF_SERIES, 40), (scripts.FORKED_SERIES, 80)])
def test_a_process_ends_with_its_records_sealed(
    server: RunningGateway, tmp_path: Path, gateway_record: GatewayRecord, script: str, rows: int
) -> None:
    assert scripts.finish(scripts.start(script, server, tmp_path / "own")) == (0, "", "")
    found = sealed_rows(tmp_path / "own")
    assert len(found) == rows
    assert ours(found) == gateway_record()
