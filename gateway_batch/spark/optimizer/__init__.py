"""Spark's query plans: what is changed in them, and what is read off them."""
