"""What a task's code, and the files that its values name, count by in the cache."""
