"""reflow's executor for PBS."""

__version__ = "0.1.0"
