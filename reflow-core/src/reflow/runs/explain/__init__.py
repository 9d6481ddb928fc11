"""Why elements ran, or came from the cache."""
