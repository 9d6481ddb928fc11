"""What the tests of whole workflows share."""

from tests.e2e.fixtures import flow_file, way

__all__ = ["flow_file", "way"]
