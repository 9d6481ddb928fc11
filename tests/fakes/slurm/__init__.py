"""A fake Slurm 22.05, as strict as the one in the recordings."""

from tests.fakes.slurm.emulator import SlurmEmulator

__all__ = ["SlurmEmulator"]
