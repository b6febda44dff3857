"""The usage dashboard: one definition of its pages, from which a web page and a Databricks dashboard are made.

- `definition`: pages, widgets, measures, dimensions and filters.
- `cube`: what the web page computes its figures from.
"""
