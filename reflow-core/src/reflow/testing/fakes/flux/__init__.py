"""A fake Flux 0.88."""

from reflow.testing.fakes.flux.face import FluxFace

__all__ = ["FluxFace"]
