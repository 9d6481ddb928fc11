"""reflow's executor for LSF."""

__version__ = "0.1.0"
