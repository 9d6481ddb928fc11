"""A fake OpenPBS 23.06."""

from tests.fakes.pbs.emulator import PbsEmulator

__all__ = ["PbsEmulator"]
