"""Whole workflows on a real Slurm: submitted, watched, changed, ended."""

from __future__ import annotations

import pytest

from tests.live.people import Person
from tests.live.scenes.runs import *  # noqa: F403 - tests
from tests.live.scenes.runs import Asked, status_is_one_question


@pytest.fixture
def asked() -> Asked:
    return Asked(
        fields='cpus=2, mem="300M", time="00:07:00", nodes=2, queue="main", account="tests", '
        'options={"slurm": {"comment": "as asked", "nice": 5}}',
        shows=("scontrol", "--oneliner", "show", "job"),
        told=(
            "NumNodes=2",
            "CPUs/Task=2",
            "MinMemoryNode=300M",
            "TimeLimit=00:07:00",
            "Partition=main",
            "Account=tests",
            "Comment=as asked",
            "Nice=5",
        ),
        directives=("#SBATCH --array=0-3%2", "#SBATCH --export=NONE"),
    )


def test_status_tells_slurms_reason_with_one_question_and_none_after_the_end(
    newcomer: Person,
) -> None:
    said = status_is_one_question(newcomer, "squeue")

    assert said["reason"] == "JobArrayTaskLimit"
    assert "wait waits: JobArrayTaskLimit" in said["seen"]
