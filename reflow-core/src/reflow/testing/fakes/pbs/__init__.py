"""A fake OpenPBS 23.06 and a fake Torque 6.1."""

from reflow.testing.fakes.pbs.face import PbsFace

__all__ = ["PbsFace"]
