"""The manifest database: its contract and the SQL implementation."""
