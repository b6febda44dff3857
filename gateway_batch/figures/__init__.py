"""Defines each usage figure once: a request, a failed request, a token cost, a percentile.

- `outcomes`: how an invocation ended. `tokens`: its tokens and its model.
- `costs`: what tokens cost. `price_days`: which price applies on which day.
- `percentiles`: percentiles, and the latency buckets of the aggregate.
- `dimensions`: the columns that figures are grouped by. `cells`: the columns of the base views and their tables.
- `sessions`: how calls of coding agents belong together, and the columns of sessions and their parts.
- `definitions`: every figure, with its meaning and its SQL.
- `dialects`: the differences between Spark SQL and DuckDB.

The views (`sql/templates`), both dashboards, the report without Spark and batch jobs take their expressions from here.
The room imports neither Spark nor DuckDB nor any other part of the package; it only builds text and adds numbers.
"""
