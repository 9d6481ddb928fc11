"""The engine: plans, dispatches, ingests and reconciles. The same for every executor."""
