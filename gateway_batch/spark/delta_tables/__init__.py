"""Delta tables of any kind: making, locking and appending to them."""
