"""Requests that no queue can ever meet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from reflow import Config, Result, Workflow
from reflow.errors import SchedulerUnavailableError
from reflow.model.jobs import Capabilities, Feasibility, JobRequest
from reflow.model.resources import Resources
from reflow.runs.diagnosis.requests import check_requests

GIB = 2**30


@dataclass
class Judge:
    """An executor with nodes of 8 CPUs, which tells of CPUs and memory."""

    name: str = "judge"
    capabilities: Capabilities = field(default_factory=Capabilities)
    asked: list[Resources] = field(default_factory=list)
    silent: bool = False

    def feasibility(self, request: JobRequest) -> Feasibility:
        assert request.directory.is_dir()
        if self.silent:
            raise SchedulerUnavailableError("the judge did not answer")
        self.asked.append(request.resources)
        cpus = request.resources.cpus
        told = f"asks for {cpus} CPUs, and there are 8" if cpus > 8 else ""
        return Feasibility(impossible=told, checked=("cpus", "mem"))


def flow(**work: Any) -> Workflow:
    wf = Workflow("genome")

    @wf.job(mem="1G", time="00:10:00")
    def prepare() -> list[int]:
        return [1]

    @wf.job(array=True, **work)
    def align(x: Annotated[int, Result(step="prepare")]) -> int:
        return x

    return wf


def found(judge: Any, config: Config | None = None, **work: Any) -> dict[str, tuple[bool, str]]:
    config = config or Config()
    checks = check_requests(flow(**work).graph(), config, judge)
    return {name: (finding.ok, finding.text) for name, finding in checks}


def test_what_can_never_run_is_named_with_where_to_change_it() -> None:
    assert found(Judge(), cpus=9)["task align"] == (
        False,
        "asks for 9 CPUs, and there are 8; change it in the decorator, or in [tasks.align] of the "
        "configuration",
    )


def test_what_fits_and_what_was_not_checked_are_told_apart() -> None:
    assert found(Judge())["task prepare"] == (
        True,
        "cpus=1, mem=1G can be had; time=00:10:00 not checked on this scheduler",
    )


def test_elements_that_run_at_once_in_a_job_are_asked_for_together() -> None:
    judge = Judge()
    assert not found(judge, cpus=3, mem="1G", per_job=10, at_once=3)["task align"][0]
    assert [each.cpus for each in judge.asked] == [1, 9, 1]
    assert (judge.asked[1].mem or 0) > 3 * GIB


def test_dispatch_jobs_are_checked_too() -> None:
    config = Config().with_values({"dispatch.mem": "2G"})
    assert "mem=2G can be had" in found(Judge(), config)["dispatch jobs"][1]


def test_equal_requests_are_asked_about_once() -> None:
    judge = Judge()
    found(judge, mem="1G", time="00:10:00")
    assert len(judge.asked) == 2


def test_a_scheduler_that_does_not_answer_ends_the_check() -> None:
    checks = found(Judge(silent=True))
    assert checks == {
        "task prepare": (False, "the judge did not answer; try again when it answers")
    }


def test_an_executor_that_cannot_check_says_so() -> None:
    class Plain:
        name = "plain"
        capabilities = Capabilities(dispatch_jobs=False)

    assert found(Plain())["task align"] == (True, "not checked by the executor 'plain'")
