"""A fake Torque 6.1.

No recordings of a Torque exist: it follows what its sources and manual pages say.
"""

from reflow.testing.fakes.torque.face import TorqueFace

__all__ = ["TorqueFace"]
