"""A fake OpenPBS 23.06."""

from tests.fakes.pbs.face import PbsFace

__all__ = ["PbsFace"]
