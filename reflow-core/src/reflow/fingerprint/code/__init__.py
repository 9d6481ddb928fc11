"""What a task's source counts by: definitions, constants and modules of the user's own code."""
