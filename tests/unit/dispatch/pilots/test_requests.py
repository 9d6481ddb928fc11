"""What is asked of an executor for pilots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from reflow.dispatch.pilots.requests import pilots_request, pilots_size
from reflow.model.pilots import Pilots
from reflow.model.records import SubmissionKind, SubmissionRecord
from reflow.rundir.run_settings import RunSettings


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    return RunSettings(
        run_id="tides-1",
        workflow="tides",
        run_dir=tmp_path,
        store="sqlite:///m.db",
        executor="pond",
        python="python",
        working_directory=tmp_path,
        flow=None,
        parameters={},
        pilots=Pilots(jobs=3, cpus=8, mem="4G", nodes="whole"),
    )


RECORD = SubmissionRecord(number=5, kind=SubmissionKind.WAVE, token="tides-1-5")


def test_pilots_are_an_array_of_jobs_that_ask_for_what_is_said_of_each(
    settings: RunSettings,
) -> None:
    request = pilots_request(settings, replace(RECORD, size=pilots_size(3)))
    assert settings.pilots is not None
    assert (request.size, request.throttle) == (3, None)
    assert request.resources == settings.pilots.resources()
    words = settings.command("reflow.execution.pool.pilot", "5")
    assert (request.token, request.command) == ("tides-1-5", words)
    assert request.directory == settings.layout.root / "pilots" / "5"
    assert request.label == "tides / tides-1 / pilots"


def test_one_pilot_is_a_plain_job_that_is_told_its_position(settings: RunSettings) -> None:
    request = pilots_request(settings, replace(RECORD, size=pilots_size(1)))
    assert request.size is None
    assert request.command[-2:] == ("5", "0")
