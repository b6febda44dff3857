"""The views over the usage table, their aggregate, and its upkeep."""
