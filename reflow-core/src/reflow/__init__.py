"""Pipelines of plain Python functions, on a laptop or an HPC cluster."""
