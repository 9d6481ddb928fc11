"""Whole workflows on a real Grid Engine: submitted, watched, changed, ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.people import LiveRun, Person
from tests.live.scenes.runs import *  # noqa: F403 - tests
from tests.live.scenes.runs import LETTERS, Asked, status_is_one_question
from tests.live.sge_cluster import Options, SGECluster, running


@pytest.fixture(scope="module")
def cluster() -> Iterator[SGECluster]:
    with running(Options(slots=24)) as cell:
        yield cell


@pytest.fixture
def asked() -> Asked:
    return Asked(
        fields='cpus=2, mem="300M", time="00:07:00", queue="all.q", account="ab1234", gpus=1, '
        'options={"sge": {"l": ["arch=lx*", "mem_total=1M"], "p": -7}}',
        shows=("qstat", "-j"),
        told=(
            "parallel environment: onehost range: 2",
            "h_rt=420,h_vmem=150M,gpu=1,arch=lx*,mem_total=1M",
            "hard_queue_list: all.q",
            "account: ab1234",
            "priority: -7",
            "restart: y",
        ),
        directives=("#$ -t 1-4", "#$ -tc 2", "#$ -l h_vmem=100M"),
    )


def test_status_is_told_with_one_question_and_none_after_the_end(newcomer: Person) -> None:
    status_is_one_question(newcomer, "qstat")


SUBMITTED_BY_NAME = """
from flow import wf

if __name__ == "__main__":
    print(wf.submit(run_dir="run", executor="sge").run_id)
"""


def test_a_run_is_submitted_by_the_executors_name(newcomer: Person) -> None:
    newcomer.touch("mended")
    newcomer.write(LETTERS)
    (newcomer.folder / "go.py").write_text(SUBMITTED_BY_NAME)

    run_id = newcomer.types(name="go.py").split()[0]

    run = LiveRun(newcomer, run_id, newcomer.folder / "run")
    run.ends()
    assert run.result("sentence") == "A B"
