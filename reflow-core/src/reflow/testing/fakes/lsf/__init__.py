"""A fake OpenLava 4.0, which speaks the LSF of old."""

from reflow.testing.fakes.lsf.face import LsfFace

__all__ = ["LsfFace"]
