"""Writes docs/schedulers/support.md: what each backend supports, as its code declares it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from reflow.plugin_api import BatchExecutor, JobRequest, Resources
from reflow.plugins.distributions import EXECUTOR_DISTRIBUTIONS
from reflow.plugins.registry import registry

SHARED = Resources(time=timedelta(hours=1))
WHOLE = replace(SHARED, whole_nodes=True)
WHOLE_NODE_SETTINGS = {"sge": {"exclusive_resource": "RESOURCE"}}
"""Settings without which whole nodes cannot be asked for."""
PAGE = Path(__file__).parents[1] / "docs" / "schedulers" / "support.md"

HEAD = (
    "# What each scheduler supports\n\n"
    "This page is made from the code: `scripts/support_table.py` writes it, and a test fails when "
    "it is not as the backends declare themselves. Each scheduler's own page says more.\n\n"
)
LEGEND = (
    "\nWhere elements cannot be held back by the scheduler, reflow submits only as many at a time "
    "as may run. Where hosts cannot be left out, an element that a bad host has killed may meet "
    "it again. Where memory is not enforced, `mem=` says what a task needs and nothing ends one "
    "that takes more; "
    "[who enforces it](../troubleshooting.md#who-enforces-memory). Pilots can have "
    "[whole nodes](../pilots.md#whole-nodes); RESOURCE stands for `exclusive_resource` under "
    "`[executor.sge]`.\n\n"
)


def executors() -> dict[str, tuple[str, Any]]:
    """Distribution and class of the executors of this project, by name."""
    distributions = {entry.executor: entry.distribution for entry in EXECUTOR_DISTRIBUTIONS}
    return {
        name: (distribution, registry().executor_class(name))
        for name, distribution in {"local": "reflow-core", **distributions}.items()
    }


def page() -> str:
    """Return the whole page."""
    found = executors()
    parts = [HEAD, *_table(_overview(found)), LEGEND]
    for name, (_, made) in found.items():
        parts += _section(name, made)
    return "".join(parts)


def _overview(found: dict[str, tuple[str, Any]]) -> Iterator[list[str]]:
    offered = registry().executors()
    yield ["", *(f"`{name}`" for name in found)]
    yield ["distribution", *(distribution for distribution, _ in found.values())]
    yield ["class", *(f"`{made.__name__}`" for _, made in found.values())]
    yield ["is here when PATH has", *(_listed(offered[name].commands) for name in found)]
    rows: dict[str, Callable[[Any], str]] = {
        "a run goes on by": lambda made: (
            "jobs of its own" if made.capabilities.dispatch_jobs else "a process in the background"
        ),
        "elements count from": lambda made: str(made.array.base) if _is_batch(made) else "",
        "in the variable": lambda made: f"`${made.array.variable}`" if _is_batch(made) else "",
        "holds elements back (`array_parallelism=`)": lambda made: _yes(made.capabilities.throttle),
        "starts jobs at a later time": lambda made: _yes(made.capabilities.begin_time),
        "leaves out hosts": lambda made: _yes(made.capabilities.exclude_hosts),
        "enforces memory": lambda made: (
            "where the site does" if made.capabilities.memory_limit else "no"
        ),
        "asks for whole nodes by": lambda made: _listed(_whole_nodes(made)) or "no",
    }
    for title, cell in rows.items():
        yield [title, *(cell(made) for _, made in found.values())]


def _section(name: str, made: Any) -> Iterator[str]:
    yield f"## {name}\n\n"
    for note in made.capabilities.notes:
        yield f"- {note}\n"
    if made.capabilities.notes:
        yield "\n"
    yield f"Settings of its own, under `[executor.{name}]`: {_listed(_settings(made))}.\n\n"
    if _is_batch(made):
        yield f"What the states of {made.scheduler} mean to reflow:\n\n"
        yield from _table(_states(made))
        yield "\n"


def _whole_nodes(made: Any) -> list[str]:
    """Words that a request has for nodes of its own, and no other request."""
    if not made.capabilities.whole_nodes:
        return []
    executor = made(**WHOLE_NODE_SETTINGS.get(made.name, {}))
    whole, shared = (_directives(executor, resources) for resources in (WHOLE, SHARED))
    return [word for word in whole if word not in shared]


def _directives(executor: BatchExecutor, resources: Resources) -> list[str]:
    request = JobRequest(
        token="t",  # noqa: S106
        command=("true",),
        directory=Path("/"),
        working_directory=Path("/"),
        resources=resources,
    )
    head, _, _ = executor.script(request).partition("\n\n")
    return head.split()


def _settings(made: Any) -> list[str]:
    shared = set(inspect.signature(BatchExecutor).parameters)
    return [item for item in inspect.signature(made).parameters if item not in shared]


def _states(made: Any) -> Iterator[list[str]]:
    """By what they mean, since some schedulers have far more codes than a page has room for."""
    meant: dict[tuple[str, str], list[str]] = {}
    for state in made.states.states:
        meant.setdefault((state.state, state.cause or ""), []).append(state.code)
    yield ["to reflow", "cause", "codes"]
    for (state, cause), codes in meant.items():
        yield [state, cause, " ".join(f"`{code}`" for code in codes)]


def _table(rows: Iterable[list[str]]) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |\n"
        if number == 0:
            yield f"|{'---|' * len(row)}\n"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _is_batch(made: Any) -> bool:
    return isinstance(made, type) and issubclass(made, BatchExecutor)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
