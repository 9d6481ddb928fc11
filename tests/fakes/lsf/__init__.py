"""A fake OpenLava 4.0, which speaks the LSF of old."""

from tests.fakes.lsf.emulator import LsfEmulator

__all__ = ["LsfEmulator"]
