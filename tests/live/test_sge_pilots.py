"""Runs in pilots on a real Grid Engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.people import LiveRun, Person
from tests.live.scenes.mishaps import IMPATIENT
from tests.live.scenes.pilots import *  # noqa: F403 - tests
from tests.live.scenes.pilots import OUT_OF_TIME, THREE_MINUTES
from tests.live.sge_cluster import Options, SGECluster, running


@pytest.fixture(scope="module")
def cluster() -> Iterator[SGECluster]:
    with running(Options(slots=24)) as cell:
        yield cell


@pytest.fixture(scope="module", autouse=True)
def out_of_time(cluster: SGECluster, tmp_path_factory: pytest.TempPathFactory) -> LiveRun:
    """A run whose pilots have time for a part of the work."""
    folder = tmp_path_factory.mktemp("out-of-time")
    person = Person(cluster=cluster, folder=folder, settings=dict(IMPATIENT))
    return person.write(OUT_OF_TIME).submits(*THREE_MINUTES)
