"""The accessor `.ai` of a Series of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import pandas as pd

from gateway_batch.engine.call_options import CallOptions, QueryOptions
from gateway_batch.errors import ConfigError
from gateway_batch.pandas.frames import as_pandas
from gateway_batch.pandas.process_client import shared_client, shows_progress
from gateway_batch.pandas.progress_bar import Report, progress_bar

Ask = Callable[[Sequence[str], Report | None], Sequence[Any]]


class AiAccessor:
    """Asks models about the texts of a Series: `series.ai`, once `gateway_batch.pandas` is imported.

    Texts that are the same are asked once. A missing value (None, NaN, NA) sends nothing, and its result is None.
    Index and name are kept. Each HTTP attempt has its row in the usage ledger, as the calls of `gateway_batch.Client`
    have theirs.
    """

    def __init__(self, series: pd.Series) -> None:
        self._series = series

    def query(
        self,
        endpoint: str,
        *,
        fail_on_error: bool = True,
        details: bool = False,
        progress: bool | None = None,
        **options: Unpack[QueryOptions],
    ) -> pd.Series | pd.DataFrame:
        """A chat model's answer to each prompt.

        Args:
            endpoint: an entry of `endpoints`, else a model service of `host`.
            fail_on_error: the first failed call ends it all; False returns a frame with the columns `result` and
                `error`, one of the two None.
            details: return a frame, with `result` and, for each row, `event_id`, `model`, `input_tokens`,
                `output_tokens`, `cache_read_input_tokens`, `cache_creation_input_tokens`, `cost_usd`, `request_id`,
                `finish_reason`, `attempts`, `latency_ms` and `texts`, as in `Answer`, and `error_kind` of failed calls.
                Rows with the same text have the same event id, and were paid once.
            progress: whether to show a progress bar; None: as `configure` says, else in a terminal or a notebook.
            options: as `Client.query` takes them.

        Returns:
            A Series of texts, or a frame, with a row for each row of the Series.

        Raises:
            CallError: with `fail_on_error`, the first call that failed.
            ConfigError: a value is not a text, an argument is wrong, or the endpoint is not configured.
            LedgerError: an attempt could not be recorded; it was not sent.
        """

        def ask(texts: Sequence[str], report: Report | None) -> Sequence[Any]:
            client = shared_client()
            if details:
                return client.query_many(
                    endpoint, texts, fail_on_error=fail_on_error, details=True, progress=report, **options
                )
            return client.query_many(endpoint, texts, fail_on_error=fail_on_error, progress=report, **options)

        kind = self._series.dtype if isinstance(self._series.dtype, pd.StringDtype) else object
        rows = self._rows(ask, endpoint, progress)
        return as_pandas(rows, self._series, result_type=kind, fail_on_error=fail_on_error, details=details)

    def embed(
        self,
        endpoint: str,
        *,
        fail_on_error: bool = True,
        details: bool = False,
        progress: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> pd.Series | pd.DataFrame:
        """An embedding model's vector of each text, a list of floats; rows with the same text share one list.

        Several texts share a request (`embedding_rows` of the endpoint).

        Args:
            endpoint: an entry of `endpoints`, else a model service of `host`.
            fail_on_error: the first text that fails ends it all; False returns a frame as `query` does.
            details: return a frame as `query` does; tokens and cost are the request's, which had as many texts as
                `texts` says.
            progress: as `query` takes it.
            options: as `Client.embed` takes them.

        Returns:
            A Series of lists, or a frame, with a row for each row of the Series.

        Raises:
            CallError: with `fail_on_error`, the first text's that failed; else as `query`.
        """

        def ask(texts: Sequence[str], report: Report | None) -> Sequence[Any]:
            client = shared_client()
            if details:
                return client.embed(
                    endpoint, texts, fail_on_error=fail_on_error, details=True, progress=report, **options
                )
            return client.embed(endpoint, texts, fail_on_error=fail_on_error, progress=report, **options)

        rows = self._rows(ask, endpoint, progress)
        return as_pandas(rows, self._series, result_type=object, fail_on_error=fail_on_error, details=details)

    def _rows(self, ask: Ask, endpoint: str, progress: bool | None) -> list[Any]:
        """What was answered for each row; None for a missing value."""
        _check_texts(self._series)
        places, texts = self._series.factorize()  # a missing value's place is -1
        shown = shows_progress() if progress is None else progress
        with progress_bar(endpoint, len(texts), shown=shown) as report:
            answers = [*ask(list(texts), report), None]
        return [answers[place] for place in places]


def _check_texts(series: pd.Series) -> None:
    for label, value in series[series.notna()].items():
        if not isinstance(value, str):
            raise ConfigError(f"the Series must hold texts, not {type(value).__name__}, as it does at {label!r}")
