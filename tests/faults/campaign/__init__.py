"""The ledger's fault campaign: many runs of a query while things die around it, and the books after each.

A run is determined by its seed as far as chance allows: the plan is, the moment at which a signal meets a process isn't.
`python -m tests.faults.campaign --help`; `docs/faults.md` says what is done.
"""
