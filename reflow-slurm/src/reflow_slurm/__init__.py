"""reflow's executor for Slurm."""

__version__ = "0.1.0"
