"""What cleaning up asks of the tables."""
