"""Whether nodes could run a job, by what sinfo prints."""

from __future__ import annotations

import pytest
from reflow.plugin_api import Resources
from reflow_slurm.feasibility import judged

GIB = 2**30
# As Slurm 22.05 prints `%P|%c|%m|%D|%G` with --exact.
SINFO = """\
main*|8|8000|2|(null)
main*|64|512000|10|(null)
gpu|32|256000|3|gpu:a100:4(S:0-1)
gpu|16|1000000|1|gpu:2,gpu:v100:1
CLUSTER: other
"""


@pytest.mark.parametrize(
    ("asked", "partitions", "said"),
    [
        (Resources(), None, ""),
        (Resources(cpus=64, mem=500 * GIB), None, ""),
        (Resources(cpus=65), None, "asks for 65 CPUs, and no node of partition main has over 64"),
        (Resources(mem=600 * GIB), None, "asks for 600G, and no node of partition main has over"),
        (Resources(gpus=1), None, "asks for 1 GPUs, and no node of partition main has over 0"),
        (Resources(gpus=4), "gpu", ""),
        (Resources(gpus=5), "gpu", "no node of partition gpu has over 4"),
        (Resources(cpus=20, mem=800 * GIB), "gpu", "than any node of partition gpu has at once"),
        (Resources(nodes=12), None, ""),
        (Resources(nodes=11, cpus=9), None, "asks for 11 nodes, and partition main has 10 that"),
        (Resources(cpus=40), "main,gpu", ""),
    ],
)
def test_a_request_is_compared_with_the_nodes_of_its_partitions(
    asked: Resources, partitions: str | None, said: str
) -> None:
    found = judged(SINFO, asked, partitions)
    assert said in found.impossible
    assert bool(said) == bool(found.impossible)
    assert found.checked == ("cpus", "mem", "gpus", "nodes")


@pytest.mark.parametrize("partitions", ["nowhere", "main,nowhere"])
def test_nothing_is_said_of_partitions_that_are_not_shown(partitions: str) -> None:
    assert judged(SINFO, Resources(cpus=1000), partitions).checked == ()


def test_nothing_is_said_where_sinfo_has_not_answered() -> None:
    assert judged("", Resources(cpus=1000), None).checked == ()
