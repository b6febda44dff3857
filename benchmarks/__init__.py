"""How fast `ai_query` is, against a raw client loop in the same run."""
