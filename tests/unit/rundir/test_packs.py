"""How positions are cut into blocks, and the files that hosts leave."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.rundir.claims import Claim
from reflow.rundir.layout import WaveLayout
from reflow.rundir.packs import (
    JobCounts,
    Pack,
    begun_at,
    is_later,
    new_slots_file,
    other_slots_files,
    read_job_counts,
    slots_files,
    write_job_counts,
)

from tests.unit.umask import umask


@pytest.fixture
def layout(tmp_path: Path) -> WaveLayout:
    (tmp_path / "1" / "hosts").mkdir(parents=True)
    return WaveLayout(tmp_path / "1")


def host(native_id: str, incarnation: str = "0") -> Claim:
    return Claim(native_id=native_id, incarnation=incarnation, host="node", pid=1, element=0)


def begins(layout: WaveLayout, native_id: str, incarnation: str = "0") -> Path:
    path = new_slots_file(layout.hosts, host(native_id, incarnation))
    path.touch()
    return path


# -- blocks --------------------------------------------------------------------------------
@given(
    size=st.integers(1, 300),
    block=st.integers(1, 70),
    hosts=st.integers(1, 80),
)
def test_every_position_is_in_one_block_and_every_block_in_the_share_of_one_host(
    size: int, block: int, hosts: int
) -> None:
    pack = Pack(hosts=hosts, at_once=1, block=block)
    blocks = range(pack.blocks(size))
    assert [p for number in blocks for p in pack.positions(number, size)] == list(range(size))
    assert all(
        pack.block_of(p) == number for number in blocks for p in pack.positions(number, size)
    )
    assert [number for each in range(hosts) for number in pack.share(each, size)] == list(blocks)


# -- other files --------------------------------------------------------------------------
def test_nobody_else_may_write_what_a_wave_of_shared_jobs_leaves(layout: WaveLayout) -> None:
    with umask(0):
        write_job_counts(layout.job_counts, JobCounts(running=1, queued=0, at_once=2))
    assert layout.job_counts.stat().st_mode & 0o022 == 0


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"running": 1}', '{"running": 1, "queued": 0, "at_once": "x"}']
)
def test_counts_of_jobs_that_cannot_be_read_are_none(layout: WaveLayout, text: str | None) -> None:
    if text is not None:
        layout.job_counts.write_text(text)
    assert read_job_counts(layout.job_counts) is None


# -- files of hosts ------------------------------------------------------------------------
@pytest.mark.parametrize(
    "native_id",
    ["7", "7_1", "7[1].pbs-server.site.org", "node-1:0d3a:4711:99", "f2CdTGeK", "../7*?", "*"],
)
def test_a_host_finds_its_own_file_and_those_of_its_other_incarnations(
    layout: WaveLayout, native_id: str
) -> None:
    before = begins(layout, native_id, "0")
    own = begins(layout, native_id, "c0/ok.ie")
    for other in ("8", "17", "7_12", "7-1", "7_1-1", "f2CdTGeK2", "node-1:0d3a:4711:990"):
        begins(layout, other)
    assert own.parent == layout.hosts
    assert slots_files(layout.hosts, host(native_id, "c0/ok.ie")) == [own]
    assert slots_files(layout.hosts, host(native_id, "0")) == [before]
    assert other_slots_files(layout.hosts, host(native_id, "c0/ok.ie"), own) == [before]
    assert slots_files(layout.hosts, host("99")) == []


def test_of_two_incarnations_the_later_has_begun_later(layout: WaveLayout) -> None:
    first, second = begins(layout, "7", "5"), begins(layout, "7", "1")
    assert begun_at(first) < begun_at(second)


@pytest.mark.parametrize(
    ("own", "other", "later"),
    [
        # On another machine the clock may be behind.
        ("7_1.0.500", "7_1.1.400", True),
        ("7_1.1.400", "7_1.0.500", False),
        ("7_1.9.500", "7_1.10.400", True),
        # Of these nothing but the time is known.
        ("7_1.0-node-80.400", "7_1.1-node-70.500", True),
        ("7_1.1-node-70.500", "7_1.1-node-80.400", False),
    ],
)
def test_of_two_incarnations_the_number_tells_the_later_where_there_is_one(
    own: str, other: str, later: bool
) -> None:
    assert is_later(Path(f"{other}.slots"), Path(f"{own}.slots")) is later
