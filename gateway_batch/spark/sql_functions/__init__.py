"""The functions as a session has them, classic or Spark Connect."""
