"""A fake Flux 0.88."""

from tests.fakes.flux.face import FluxFace

__all__ = ["FluxFace"]
