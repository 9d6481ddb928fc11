"""The configuration: schema, loading, conversion of values, and the commented file."""
