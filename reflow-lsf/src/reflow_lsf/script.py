"""Writing a request as `#BSUB` lines, by the rules of a site."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from reflow.plugin_api import JobRequest, Resources, in_units, whole_seconds

from reflow_lsf import options, site

_SOONEST = timedelta(seconds=30)
"""bsub takes the current minute, or an earlier one, for tomorrow's or next year's."""

BEGIN_TIME = "%m:%d:%H:%M"
"""The time format of bsub's `-b`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of a site for requests."""

    memory: site.Memory
    reserve_memory: bool
    reserve_per_slot: bool
    account_option: str
    gpu_option: str


def directives(request: JobRequest, own: dict[str, object], rules: Rules) -> Iterator[str]:
    """Yield the lines of a request; `own` are the task's own options.

    Options with long names come last: a bsub that has only short ones (OpenLava's) ignores that
    line and those after it.
    """
    resources = request.resources
    yield f"-J {_job_name(request)}"
    yield "-o /dev/null"
    yield "-r"
    yield f"-n {resources.cpus * resources.nodes}"
    given = dict(own)
    asked = given.pop("R", ())
    asked_for = [asked] if isinstance(asked, str) else list(asked)  # type: ignore[call-overload]
    gpus = rules.gpu_option.format(gpus=resources.gpus) if resources.gpus else ""
    sections = list(_sections(resources, rules))
    if gpus.startswith("-R"):
        sections += options.sections(gpus.removeprefix("-R").strip().strip("'\""))
        gpus = ""
    if needs := options.requirements(asked_for, sections):
        yield f"-R {options.word(needs)}"
    if resources.mem is not None:
        parts = resources.cpus if rules.memory.per == "slot" else 1
        yield f"-M {_amount(resources.mem, parts, rules.memory.limit_unit)}"
    if resources.time is not None:
        minutes = in_units(whole_seconds(resources.time), 60)
        yield f"-W {minutes // 60}:{minutes % 60:02}"
    named = {name.lstrip("-") for name in own}
    if resources.whole_nodes and "x" not in named:
        yield "-x"
    if resources.queue and "q" not in named:
        yield f"-q {options.word(resources.queue)}"
    rest = options.handed_on(given)
    if resources.account and rules.account_option not in named:
        rest.insert(0, f"-{rules.account_option} {options.word(resources.account)}")
    if gpus:
        rest.append(gpus)
    yield from sorted(rest, key=is_long)


def is_long(line: str) -> bool:
    """Tell whether a line has an option that OpenLava's bsub does not have."""
    name = line.split()[0].removeprefix("-")
    return len(name) > 1 and name != "sp"


def begin_time(now: datetime, begin_in: timedelta) -> str:
    """Write `-b`: `month:day:hour:minute`, not before the time asked for, and in the future.

    In this machine's local time, whose offset may be another by then: clocks are put forward.
    """
    begin = now + max(begin_in, _SOONEST) + timedelta(seconds=59, milliseconds=999)
    return begin.astimezone().strftime(BEGIN_TIME)


def _job_name(request: JobRequest) -> str:
    """Write `TOKEN[1-10]%2`; without a limit at its end, any number of elements may run at once."""
    if request.size is None:
        return request.token
    limit = "" if request.throttle is None else f"%{request.throttle}"
    return f"{request.token}[1-{request.size}]{limit}"


def _sections(resources: Resources, rules: Rules) -> Iterator[tuple[str, str]]:
    """Yield the sections of `-R`: all slots on one host, or the same number on each; memory."""
    if resources.nodes > 1:
        yield "span", f"ptile={resources.cpus}"
    elif resources.cpus > 1:
        yield "span", "hosts=1"
    if resources.mem is not None and rules.reserve_memory:
        parts = resources.cpus if rules.reserve_per_slot else 1
        yield "rusage", f"mem={_amount(resources.mem, parts, rules.memory.reserve_unit)}"


def _amount(size: int, parts: int, unit: str) -> int:
    return in_units(in_units(size, parts), site.UNITS[unit])
