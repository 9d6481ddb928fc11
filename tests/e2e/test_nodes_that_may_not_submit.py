"""Runs on clusters whose nodes take no submissions, on fakes that really run jobs."""

from __future__ import annotations

from collections.abc import Callable

from reflow.model.states import RunState
from reflow.testing.fakes import FakeScheduler

from tests.e2e.fixtures import on_fakes
from tests.e2e.support import FlowFile, counts, until

STAGES = """
wf = Workflow("stages")


@wf.job()
def first() -> int:
    wait_for("{here}/go")
    return 1


@wf.job()
def second(number: Annotated[int, Result(step="first")]) -> int:
    did("second")
    return number + 1
"""
REFUSALS = {
    "sge": ("qsub", 'Unable to run job: denied: host "vm" is not a submit host\nExiting.\n', 1),
    "pbs": ("qsub", "qsub: Bad UID for job execution\n", 17),
    "lsf": ("bsub", "Request from non-LSF host rejected. Job not submitted.\n", 255),
}


cluster = on_fakes(*REFUSALS)


def test_a_node_that_may_not_submit_leaves_the_rest_to_a_machine_that_may(
    cluster: FakeScheduler, flow_file: Callable[..., FlowFile]
) -> None:
    command, said, code = REFUSALS[cluster.name]
    flow = flow_file(STAGES)
    run = flow.load().submit(run_dir="run", executor=cluster.name)

    cluster.fail(command, times=None, stderr=said, code=code)
    before = cluster.count(command)
    (flow.folder / "go").touch()
    until(lambda: cluster.count(command) > before)
    until(lambda: not [job for job in cluster.jobs() if job.phase == "running"])

    assert not flow.calls
    assert not run.state.final

    cluster.clear_faults()

    def ended() -> bool:
        run.status(as_dict=True)
        return bool(run.state.final)

    until(ended)
    assert run.state is RunState.SUCCESS
    assert counts(run, "second") == {"SUCCESS": 1}
