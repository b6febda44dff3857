"""Reports of usage straight from a Delta table's files, with no Spark: the figures of the views in `sql/views`.

- `keys`: what a report may be by. `period`: which time it is about. `place`: where the table is.
- `statements`: the SQL.
- `source`: reading the table. `report`: the figures. Only these two import DuckDB and deltalake.
- `frame`: the figures as a pandas DataFrame.
"""

from gateway_batch.usage_report.keys import Key, key_of
from gateway_batch.usage_report.period import ALWAYS, Period, period_of
from gateway_batch.usage_report.table_location import Place, find_table, place_of

__all__ = ["ALWAYS", "Key", "Period", "Place", "find_table", "key_of", "period_of", "place_of"]
