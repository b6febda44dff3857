"""The stand-in models: deterministic, cheap, and plainly not language models."""
