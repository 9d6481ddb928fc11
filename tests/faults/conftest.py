"""What the tests of faults share."""

from tests.e2e.fixtures import flow_file

__all__ = ["flow_file"]
