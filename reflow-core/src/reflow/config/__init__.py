"""Settings: their schema, reading them, and the commented file."""
