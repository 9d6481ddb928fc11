"""`doctor` on a real Slurm."""

from __future__ import annotations

from tests.live.people import Person
from tests.live.scenes.doctor import FLOW, findings


def test_a_job_tells_what_it_finds_on_a_node(newcomer: Person) -> None:
    found = findings(newcomer, "--submit", "--executor", "slurm")
    on_node = {name: each for name, each in found.items() if name.startswith("on node: ")}
    assert found["submission"][0], found["submission"]
    assert len(on_node) == 8
    assert [each for each in on_node.values() if not each[0]] == []
    assert "answer" in on_node["on node: scheduler"][1]


def test_requests_beyond_every_node_are_found_before_they_wait(newcomer: Person) -> None:
    newcomer.write(FLOW)
    found = findings(newcomer, "flow.py", "--executor", "slurm")
    assert found["task small"][0]
    assert found["dispatch jobs"][0]
    for task in ("wide", "fat"):
        ok, text = found[f"task {task}"]
        assert not ok
        assert f"[tasks.{task}] of the configuration" in text
