"""Strict fake schedulers that really run jobs, for tests of executors.

See `FakeScheduler`.
"""

from reflow.testing.fakes.control import FakeCall, FakeError, FakeJob, FakeScheduler

__all__ = ["FakeCall", "FakeError", "FakeJob", "FakeScheduler"]
