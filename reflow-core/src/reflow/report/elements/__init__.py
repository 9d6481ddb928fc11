"""What is said of the elements of a task: why one ran, and how it ended when called again."""
