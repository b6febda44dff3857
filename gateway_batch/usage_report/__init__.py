"""Reports of usage straight from a Delta table's files, with no Spark: the figures of the views in `sql/views`.

- `keys`: what a report may be by.
- `period`: which time it is about.
- `statements`: the SQL.
- `place`: where the table is.
- `source`: reading it.
- `report`: the figures.
"""

from gateway_batch.usage_report.keys import Key, key_of
from gateway_batch.usage_report.period import ALWAYS, Period, period_of
from gateway_batch.usage_report.place import Place, place_of
from gateway_batch.usage_report.report import Figures, Report, usage_report
from gateway_batch.usage_report.source import last_transaction

__all__ = [
    "ALWAYS",
    "Figures",
    "Key",
    "Period",
    "Place",
    "Report",
    "key_of",
    "last_transaction",
    "period_of",
    "place_of",
    "usage_report",
]
