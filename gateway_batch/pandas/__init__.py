"""`import gateway_batch.pandas` gives every pandas Series `.ai.query(endpoint)` and `.ai.embed(endpoint)`.

    import pandas as pd
    import gateway_batch.pandas

    reviews = pd.Series(["The lamp works.", "Its shade has a dent.", None])
    ("Is this a complaint? " + reviews).ai.query("databricks-gpt-5-4")

All of them call through one shared `gateway_batch.Client`; `configure` says which.
"""

from __future__ import annotations

import pandas as pd

from gateway_batch.pandas.accessor import AiAccessor
from gateway_batch.pandas.process_client import configure, shared_client

__all__ = ["AiAccessor", "configure", "shared_client"]

pd.api.extensions.register_series_accessor("ai")(AiAccessor)
