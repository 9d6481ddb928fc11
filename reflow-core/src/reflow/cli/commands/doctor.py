"""`doctor`: whether everything that reflow needs is there, here and on compute nodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from reflow.cli.program import WRONG_USAGE
from reflow.cli.words import Json, option, switch
from reflow.errors import ReflowError
from reflow.report.screen import put_json, screen

if TYPE_CHECKING:
    from reflow.plugins.hookspecs import Finding

    Named = tuple[str, Finding]

Flow = Annotated[
    str | None,
    typer.Argument(
        metavar="FLOW.py[:WORKFLOW]",
        show_default=False,
        help="Check also that queues can meet what the flow's jobs ask for.",
    ),
]
Submit = Annotated[
    bool, switch("--submit", help="Send one tiny job, and show what it finds on its node.")
]
ExecutorName = Annotated[
    str | None,
    option("--executor", metavar="NAME", help="The scheduler, where it is not the configured one."),
]
Timeout = Annotated[
    float,
    option("--timeout", metavar="SECONDS", help="How long to wait for that job; 600 without it."),
]


def doctor(
    flow: Flow = None,
    submit: Submit = False,
    executor: ExecutorName = None,
    timeout: Timeout = 600.0,
    json: Json = False,
) -> None:
    """Check that everything reflow needs is there.

    The exit code is 2 where something is not.
    """
    from reflow.report.installation import finding_lines, findings_json

    console = screen()
    found: list[Named] = []
    for name, finding in _findings(flow, submit, executor, timeout, quiet=json):
        found.append((name, finding))
        if not json:
            console.put(finding_lines(name, finding, width=console.width))
    if json:
        put_json(findings_json(found))
    if not all(finding.ok for _, finding in found):
        raise typer.Exit(WRONG_USAGE)


def _findings(
    flow: str | None, submit: bool, executor: str | None, timeout: float, *, quiet: bool
) -> Iterator[Named]:
    """Yield what is found while it is found: the machine, then the flow, then a node."""
    from reflow.plugins.health.installation import check_executor
    from reflow.plugins.registry import registry

    for check in registry().health_checks():
        named = executor is not None and check.name == "executor"
        yield check.name, check_executor(executor) if named else check.run()
    if flow is not None:
        yield from _or_error(flow, _of_flow(flow, executor))
    if submit:
        yield from _or_error("submission", _of_node(executor, timeout, quiet=quiet))


def _or_error(name: str, findings: Iterator[Named]) -> Iterator[Named]:
    """Yield findings, and the mistake that ends them as one more."""
    from reflow.plugins.hookspecs import Finding

    try:
        yield from findings
    except ReflowError as error:
        yield name, Finding(ok=False, text=str(error))


def _of_flow(flow: str, executor: str | None) -> Iterator[Named]:
    from reflow.cli.named_flow import load_named
    from reflow.runs.diagnosis.requests import check_requests
    from reflow.workflow import Workflow

    workflow = load_named(flow)
    assert isinstance(workflow, Workflow)
    graph = workflow.graph()
    with closing(workflow.config.make_executor(executor)) as chosen:
        yield from check_requests(graph, workflow.config, chosen)


def _of_node(executor: str | None, timeout: float, *, quiet: bool) -> Iterator[Named]:
    from reflow.config.schema import load_config
    from reflow.runs.diagnosis.trial import try_a_job

    config, errors = load_config(), screen(stderr=True)
    with closing(config.make_executor(executor)) as chosen:
        say = _say_nothing if quiet else errors.say
        yield from try_a_job(config, chosen, timeout, say)


def _say_nothing(text: str) -> None:
    """Take what is for people only."""
