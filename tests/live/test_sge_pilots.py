"""Runs in pilots on a real Grid Engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.scenes.pilots import *  # noqa: F403 - tests
from tests.live.sge_cluster import Options, SGECluster, running


@pytest.fixture(scope="module")
def cluster() -> Iterator[SGECluster]:
    with running(Options(slots=24)) as cell:
        yield cell
