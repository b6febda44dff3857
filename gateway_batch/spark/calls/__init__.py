"""What a call of `ai_query` or of a task function says, checked and made a plan."""
