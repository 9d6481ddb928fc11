"""A fake Son of Grid Engine 8.1.9, as strict as the one in the recordings."""

from tests.fakes.sge.emulator import SgeEmulator

__all__ = ["SgeEmulator"]
