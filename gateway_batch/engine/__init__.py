"""From a call to its answer: one call with its policy, many of them in order, and what a process needs for it."""
