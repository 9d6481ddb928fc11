"""reflow's executor for Grid Engine."""

__version__ = "0.1.0"
