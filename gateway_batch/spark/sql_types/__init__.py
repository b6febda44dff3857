"""Between SQL values and JSON."""
