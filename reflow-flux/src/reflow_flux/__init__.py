"""reflow's executor for Flux."""

__version__ = "0.1.0"
