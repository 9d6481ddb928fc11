"""A fake Flux 0.88."""

from tests.fakes.flux.emulator import FluxEmulator

__all__ = ["FluxEmulator"]
