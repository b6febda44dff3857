"""What each figure of usage is: the one place that says what a request, a failed request, a cost or a percentile is.

- `outcomes`: how a row of the usage table ended. `tokens`: its tokens, and the model that they are of.
- `costs`: what tokens cost. `price_days`: by which price.
- `percentiles`: percentiles, and the buckets that they come from in the aggregate.
- `dimensions`: what figures are given for each value of. `cells`: columns of the views that have these.
- `definitions`: the figures themselves, each with its meaning and how it is computed.
- `dialects`: what Spark and DuckDB spell differently.

The views (`sql/templates`), the dashboards, the report without Spark and batch jobs take their expressions from here.
Nothing here knows Spark, DuckDB or the rest of the package: it is text and numbers.
"""
