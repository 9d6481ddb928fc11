"""A fake OpenPBS 23.06."""

from reflow.testing.fakes.pbs.face import PbsFace

__all__ = ["PbsFace"]
