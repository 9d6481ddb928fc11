"""Strict fake schedulers that really run jobs, for tests of executors.

See `FakeScheduler`.
"""

from reflow.testing.fakes.control import FACES, FakeCall, FakeError, FakeJob, FakeScheduler

__all__ = ["FACES", "FakeCall", "FakeError", "FakeJob", "FakeScheduler"]
