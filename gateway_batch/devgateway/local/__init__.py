"""Real models, small enough for any machine: SmolLM2-135M for chat, multilingual-e5-small for embeddings.

Each runs in a process of its own that the gateway starts, watches and stops.
"""
