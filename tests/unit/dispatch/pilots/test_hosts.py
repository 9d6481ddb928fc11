"""What is known of a run's pilots by their files."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reflow.dispatch.pilots.hosts import PilotHosts
from reflow.execution.pool.pilot_files import mark_left
from reflow.execution.pool.protocol import Slots
from reflow.model.records import SubmissionKind, SubmissionRecord
from reflow.permissions import make_folder
from reflow.rundir.claims import Claim
from reflow.rundir.layout import RunLayout
from reflow.rundir.packs import new_slots_file

PILOTS = SubmissionRecord(
    number=2, kind=SubmissionKind.PILOTS, token="pilots-2", size=3, native_ids=("7",)
)


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    layout = RunLayout(tmp_path, "r")
    make_folder(layout.hosts)
    return layout


def begun(layout: RunLayout, job: int, workers: int) -> Path:
    """Have a pilot begin that has found room for so many workers."""
    me = Claim(native_id=f"7_{job}", incarnation="0", host="node", pid=job, element=job)
    slots = new_slots_file(layout.hosts, me, PILOTS.number, job)
    slots.write_bytes(bytes(Slots.size_for(workers)))
    return slots


def hosts_of(layout: RunLayout) -> PilotHosts:
    tracked: Any = SimpleNamespace(dispatches={PILOTS.number: PILOTS})
    hosts = PilotHosts(tracked, layout)
    hosts.look()
    return hosts


def test_as_many_elements_run_at_once_as_living_pilots_have_found_room_for(
    layout: RunLayout,
) -> None:
    begun(layout, 0, workers=128)
    mark_left(begun(layout, 1, workers=64))
    hosts = hosts_of(layout)
    assert (hosts.running, hosts.waiting, hosts.at_once) == (1, 1, 128)


def test_a_pilot_that_has_been_silent_for_long_is_not_counted(layout: RunLayout) -> None:
    begun(layout, 0, workers=4)
    os.utime(begun(layout, 1, workers=8), (1, 1))
    assert hosts_of(layout).at_once == 4
