"""How much a pilot has for elements."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from reflow.execution.pool import capacity
from reflow.execution.pool.capacity import Capacity, capacity_of
from reflow.executors.seats import DEVICES_VARIABLE
from reflow.model.pilots import KEPT_MEMORY, Pilots
from reflow.model.resources import Resources

GIB = 2**30


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 64 GiB, in whose control groups nothing is limited yet."""
    monkeypatch.setattr(capacity, "PROC", tmp_path / "proc")
    monkeypatch.setattr(capacity, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 4, 5, 6})
    monkeypatch.delenv(DEVICES_VARIABLE, raising=False)
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(f"Irrelevant: x\nMemTotal: {64 * 2**20} kB\n")
    return tmp_path


def limit(machine: Path, folder: str, name: str, text: object) -> None:
    path = machine / "groups" / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def test_a_pilot_has_what_it_asked_for_less_the_memory_of_its_dispatcher() -> None:
    asked = Pilots(jobs=2, cpus=8, mem="16G", gpus=2)
    assert capacity_of(asked) == Capacity(8, 2, 16 * GIB - KEPT_MEMORY)


def test_memory_that_was_not_asked_for_is_not_counted() -> None:
    assert capacity_of(Pilots(jobs=2, cpus=8)) == Capacity(8, 0, None)


def test_a_whole_node_is_what_affinity_and_the_machine_leave(machine: Path) -> None:
    assert capacity_of(Pilots(jobs=1, nodes="whole")) == Capacity(5, 0, 64 * GIB - KEPT_MEMORY)


@pytest.mark.parametrize("layout", ["first", "second"])
def test_a_whole_node_is_no_more_than_the_tightest_control_group_above(
    machine: Path, layout: str
) -> None:
    line, top, name, none = {
        "first": ("4:memory:/job/step", "memory/", "memory.limit_in_bytes", 2**63 - 4096),
        "second": ("0::/job/step", "", "memory.max", "max"),
    }[layout]
    (machine / "proc" / "self" / "cgroup").write_text(f"3:cpu,cpuacct:/elsewhere\n{line}\n")
    limit(machine, f"{top}job/step", name, none)
    limit(machine, f"{top}job", name, 8 * GIB)
    limit(machine, f"{top}.", name, 32 * GIB)
    assert capacity_of(Pilots(jobs=1, nodes="whole")).mem == 8 * GIB - KEPT_MEMORY


def test_what_a_pilot_with_a_whole_node_asked_for_is_no_limit(machine: Path) -> None:
    asked = Pilots(jobs=1, nodes="whole", cpus=2, mem="1G")
    assert capacity_of(asked) == Capacity(5, 0, 64 * GIB - KEPT_MEMORY)


def test_devices_of_a_whole_node_are_those_that_the_job_may_use(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEVICES_VARIABLE, "0,1,2")
    assert capacity_of(Pilots(jobs=1, nodes="whole")).gpus == 3


def test_where_the_system_does_not_say_memory_is_not_counted(machine: Path) -> None:
    (machine / "proc" / "meminfo").unlink()
    assert capacity_of(Pilots(jobs=1, nodes="whole")).mem is None


@pytest.mark.parametrize(
    ("has", "wants", "expected"),
    [
        (Capacity(4, 0, None), Resources(cpus=4, mem=900 * GIB), True),
        (Capacity(4, 0, None), Resources(cpus=5), False),
        (Capacity(4, 1, GIB), Resources(gpus=2), False),
        (Capacity(4, 1, GIB), Resources(mem=GIB, gpus=1), True),
        (Capacity(4, 1, GIB), Resources(mem=GIB + 1), False),
    ],
)
def test_an_element_is_held_that_fits_alone(
    has: Capacity, wants: Resources, expected: bool
) -> None:
    assert has.holds(wants) is expected
