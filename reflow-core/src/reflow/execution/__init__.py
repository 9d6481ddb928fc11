"""Running a task's function: workers, the pool, the calling process, logs, loading the flow."""
