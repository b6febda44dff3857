"""Spark sessions of any kind, and the way to what is behind them."""
