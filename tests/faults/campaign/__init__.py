"""The ledger's fault campaign: many runs of a query while things die around it, and what the ledger has after each.

A seed determines what a run does and when; what a signal meets at that moment is left to chance.
`python -m tests.faults.campaign --help`; `docs/faults.md` says what is done.
"""
