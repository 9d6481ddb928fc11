"""A fake OpenLava 4.0, which speaks the LSF of old."""

from tests.fakes.lsf.face import LsfFace

__all__ = ["LsfFace"]
