"""A fake Slurm 22.05, as strict as the one in the recordings."""

from tests.fakes.slurm.face import SlurmFace

__all__ = ["SlurmFace"]
