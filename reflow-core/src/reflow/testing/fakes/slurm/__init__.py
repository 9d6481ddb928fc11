"""A fake Slurm 22.05, as strict as the one in the recordings."""

from reflow.testing.fakes.slurm.face import SlurmFace

__all__ = ["SlurmFace"]
