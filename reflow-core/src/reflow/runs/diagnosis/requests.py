"""Requests of a flow that no queue can ever meet, found before they wait in one for ever."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from reflow.config.schema import Config
from reflow.dispatch.jobs.packing import job_resources, may_share
from reflow.dispatch.modes import mode_of
from reflow.errors import SchedulerUnavailableError
from reflow.executors.contract import ChecksRequests, Executor
from reflow.model.graph import Graph
from reflow.model.jobs import Feasibility, JobRequest
from reflow.model.resources import Resources, memory_text, time_text
from reflow.model.tasks import TaskSpec
from reflow.plugins.hookspecs import Finding
from reflow.rundir.packs import Pack
from reflow.runs.diagnosis.on_node import NAME

MOST_REQUESTS = 50
"""Different requests that a scheduler is asked about, at most."""

Named = tuple[str, Finding]
"""The name of a check, and what it found."""


def check_requests(graph: Graph, config: Config, executor: Executor) -> Iterator[Named]:
    """Compare what a flow's jobs ask for with what the executor's scheduler has.

    A scheduler is asked once for requests that are equal.
    """
    verdicts: dict[str, Feasibility] = {}
    for name, resources, mend in _requests(graph, config, executor):
        if not isinstance(executor, ChecksRequests):
            text = f"not checked by the executor {executor.name!r}"
            yield name, Finding(ok=True, text=text, checked=False)
            continue
        request = repr(resources)
        try:
            if request not in verdicts and len(verdicts) < MOST_REQUESTS:
                verdicts[request] = _ask(executor, resources)
            verdict = verdicts.get(request, Feasibility())
        except SchedulerUnavailableError as error:
            yield name, Finding(ok=False, text=f"{error}; try again when it answers")
            return
        yield name, _finding(verdict, resources, mend)


def _requests(
    graph: Graph, config: Config, executor: Executor
) -> Iterator[tuple[str, Resources, str]]:
    """Yield what jobs of a flow ask for, with names, and where to write something else."""
    for spec in graph.tasks.values():
        mend = f"change it in the decorator, or in [tasks.{spec.name}] of the configuration"
        yield f"task {spec.name}", _job_of(spec, config, executor), mend
    if executor.capabilities.dispatch_jobs:
        yield "dispatch jobs", config.dispatch.resources, "change it in [dispatch]"


def _job_of(spec: TaskSpec, config: Config, executor: Executor) -> Resources:
    """Return what a job of a task asks for, with the elements that run in it at the same time."""
    asked = config.defaults.fill(spec.resources)
    at_once = spec.at_once or config.defaults.at_once
    if at_once == 1 or not may_share(spec, mode_of(executor)):
        return asked
    return replace(job_resources(asked, Pack(hosts=1, at_once=at_once, block=1)), time=asked.time)


def _ask(executor: ChecksRequests, resources: Resources) -> Feasibility:
    with tempfile.TemporaryDirectory(prefix="reflow-") as folder:
        return executor.feasibility(
            JobRequest(
                token=NAME,
                command=("true",),
                directory=Path(folder),
                working_directory=Path(os.path.abspath(os.curdir)),  # noqa: PTH100
                resources=resources,
                label="reflow doctor",
            )
        )


def _finding(verdict: Feasibility, resources: Resources, mend: str) -> Finding:
    if verdict.impossible:
        return Finding(ok=False, text=f"{verdict.impossible}; {mend}")
    asked = dict(_asked(resources))
    fits = [text for option, text in asked.items() if option in verdict.checked]
    rest = [text for option, text in asked.items() if option not in verdict.checked]
    told = [f"{', '.join(fits)} can be had"] if fits else []
    if rest:
        told.append(f"{', '.join(rest)} not checked on this scheduler")
    return Finding(ok=True, text="; ".join(told))


def _asked(resources: Resources) -> Iterator[tuple[str, str]]:
    """Yield what a request asks for, by option, as a decorator has it."""
    yield "cpus", f"cpus={resources.cpus}"
    if resources.mem is not None:
        yield "mem", f"mem={memory_text(resources.mem)}"
    if resources.time is not None:
        yield "time", f"time={time_text(resources.time)}"
    if resources.gpus:
        yield "gpus", f"gpus={resources.gpus}"
    if resources.nodes > 1:
        yield "nodes", f"nodes={resources.nodes}"
