"""Whether hosts could run a job, by what pbsnodes prints."""

from __future__ import annotations

import pytest
from reflow.plugin_api import Resources
from reflow_pbs.feasibility import judged
from reflow_pbs.script import requests_nodes

GIB = 2**30
# As OpenPBS 23.06 prints it; the second host is two virtual nodes.
NODES = """\
node01
     Mom = node01
     state = free
     resources_available.arch = linux
     resources_available.host = node01
     resources_available.mem = 24684096kb
     resources_available.ncpus = 8
     resources_assigned.ncpus = 400

node02[0]
     state = down
     resources_available.host = node02
     resources_available.mem = 8gb
     resources_available.ncpus = 16

node02[1]
     resources_available.host = node02
     resources_available.mem = 8gb
     resources_available.ncpus = 16
"""
GPUS = NODES.replace("ncpus = 8\n", "ncpus = 8\n     resources_available.ngpus = 2\n")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Resources(), ""),
        (Resources(cpus=32, mem=16 * GIB), ""),
        (Resources(cpus=33), "asks for 33 CPUs, and no host has over 32"),
        (Resources(mem=24 * GIB), "asks for 24576M, and no host has over 24105M"),
        (Resources(cpus=9, mem=20 * GIB), "asks for more CPUs, memory and GPUs than any host"),
        (Resources(gpus=3), ""),
        (Resources(nodes=2, cpus=8), ""),
        (Resources(nodes=2, cpus=16), "asks for 2 nodes, and hosts that are large enough are 1"),
    ],
)
def test_a_request_is_compared_with_whole_hosts(asked: Resources, said: str) -> None:
    found = judged(NODES, asked)
    assert found.impossible.startswith(said)
    assert bool(found.impossible) == bool(said)
    assert found.checked == ("cpus", "mem", "nodes")


def test_gpus_are_judged_where_hosts_have_some() -> None:
    assert judged(GPUS, Resources(gpus=3)).impossible == "asks for 3 GPUs, and no host has as many"
    assert judged(GPUS, Resources(gpus=2)).impossible == ""
    assert "gpus" in judged(GPUS, Resources()).checked


def test_nothing_is_said_where_pbsnodes_has_not_answered() -> None:
    assert judged("", Resources(cpus=1000)).checked == ()


def test_nodes_in_the_words_of_pbs_are_left_alone() -> None:
    assert requests_nodes({"l": "select=1:ncpus=99"})
    assert not requests_nodes({"l": "software=matlab"})
