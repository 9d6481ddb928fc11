"""Writing a request as `#$` lines, by the rules of a site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reflow.plugin_api import (
    LOG_NAME,
    JobRequest,
    ParameterError,
    Resources,
    in_units,
    one_line,
    resource_names,
    whole_seconds,
)

from reflow_sge.options import handed_on

_SAFE = re.compile(r"[\w./ +=@%-]+", re.ASCII)
"""Paths that `-o` of a directive can hold without giving characters a meaning."""
_TAKEN_FOR_OPTIONS = re.compile(r"^#\$.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of a site for requests."""

    memory_resource: str
    memory_per_slot: bool
    gpu_resource: str
    exclusive_resource: str | None
    """The resource by which a job has its host for itself."""
    account_option: str
    environment: str
    """The parallel environment for several CPUs on one host."""
    node_environment: str | None
    """The parallel environment for several hosts."""
    warning: int | None
    """Seconds between the warning and the time limit."""


def directives(request: JobRequest, rules: Rules) -> dict[str, Any]:
    """Return the variables of the template besides those of every scheduler's.

    Raises `ParameterError` for resources that cannot be requested here.
    """
    resources = request.resources
    given = {name.lstrip("-"): value for name, value in resources.options["sge"].items()}
    asked = resource_names(given.get("l"))
    return {
        "output": output(request),
        "slots": resources.cpus * resources.nodes,
        "parallel_environment": _environment(resources, rules),
        "resource_requests": [
            left for value in resource_requests(request, rules) if (left := _without(value, asked))
        ],
        "replaces_environment": "pe" in given,
        "replaces_queue": "q" in given,
        "replaces_account": rules.account_option.lstrip("-") in given,
        "account_option": rules.account_option,
        "options": handed_on(resources.options["sge"]),
    }


def _without(value: str, asked: set[str]) -> str:
    """Remove from a value of `-l` what a task requests itself."""
    parts = (part for part in value.split(",") if part.partition("=")[0] not in asked)
    return ",".join(parts)


def _environment(resources: Resources, rules: Rules) -> str:
    if resources.nodes == 1:
        return rules.environment
    if rules.node_environment is None:
        raise ParameterError(
            "For several nodes, Grid Engine needs a parallel environment that is made for "
            "that: name it as node_environment under [executor.sge]"
        )
    return rules.node_environment


def _whole_host(rules: Rules) -> str:
    if rules.exclusive_resource is None:
        raise ParameterError(
            "For whole nodes, Grid Engine needs a resource that is made for that, with the "
            "relation EXCL in `qconf -sc`: name it as exclusive_resource under [executor.sge]"
        )
    is_value = "=" in rules.exclusive_resource
    return rules.exclusive_resource if is_value else f"{rules.exclusive_resource}=true"


def output(request: JobRequest) -> str:
    """Return the file that the scheduler writes; `/dev/null` where no directive can hold it."""
    log = one_line(request.directory / LOG_NAME)
    return log if _SAFE.fullmatch(log) else "/dev/null"


def resource_requests(request: JobRequest, rules: Rules) -> Iterator[str]:
    """Yield the requests of `-l`."""
    resources = request.resources
    if resources.time is not None:
        seconds = whole_seconds(resources.time)
        yield f"h_rt={seconds}"
        if rules.warning is not None and rules.warning < seconds:
            yield f"s_rt={seconds - rules.warning}"
    if resources.mem is not None:
        parts = resources.cpus if rules.memory_per_slot else 1
        mebibytes = in_units(in_units(resources.mem, parts), 1024**2)
        yield rules.memory_resource.format(mem=f"{mebibytes}M")
    if resources.gpus:
        yield rules.gpu_resource.format(gpus=resources.gpus)
    if resources.whole_nodes:
        yield _whole_host(rules)
    if request.excluded_hosts:
        yield f"hostname=!({'|'.join(request.excluded_hosts)})"


def check_script(text: str) -> None:
    """Raise `ParameterError` where qsub would find an option in a script's body."""
    found = _TAKEN_FOR_OPTIONS.search(text.partition("\n\n")[2])
    if found is not None:
        raise ParameterError(
            f"qsub would read this line of the script as its own option: {found[0]!r}. "
            "Give options by options= of a task or under [executor.sge]."
        )
