"""The functions' body in Spark's Python workers."""
