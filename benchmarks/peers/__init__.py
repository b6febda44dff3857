"""Other packages that send a table's rows to a model service, side by side with `ai_query`.

Each runs as a child in an environment of its own (`environments`), by the same protocol (`child`). The children's
modules import nothing of this project but `benchmarks.load`, which needs no package.
"""
