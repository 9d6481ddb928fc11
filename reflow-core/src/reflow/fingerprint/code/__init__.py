"""The fingerprint of a task's source: definitions, constants and modules of the user's own code."""
