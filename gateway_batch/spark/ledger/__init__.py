"""The tables of usage and tasks: making, filling and reconciling them."""
