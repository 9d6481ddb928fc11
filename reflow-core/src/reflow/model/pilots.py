"""Pilots, the jobs that run a whole run: how many there are, and what each asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from reflow.errors import ParameterError
from reflow.model.resources import Resources, parse_count, parse_memory, parse_name, parse_time

KEPT_MEMORY = 300 * 2**20
"""Bytes of a pilot's memory that are kept for the dispatcher in it."""
IDLE = timedelta(minutes=10)
"""How long a pilot waits for work, where users say nothing."""
LEAST_TIME = timedelta(minutes=3)
"""The shortest time limit of a pilot: it begins nothing in the last half minute, and one that ends
is replaced while there is work."""

_SPAN = re.compile(r"(\d{1,6})\s*([smh]?)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "": "minutes"}


@dataclass(frozen=True, slots=True, init=False)
class Pilots:
    """The jobs that run a whole run, all its tasks one after the other.

    Attributes hold what was given as numbers and durations: `mem` is bytes, `time` and `idle` are
    timedeltas.
    """

    jobs: int
    cpus: int
    """Of each job. With whole nodes, 1 leaves it to the node."""
    mem: int | None
    """Bytes of each job; None leaves it to the site, or to the node."""
    gpus: int
    time: timedelta | None
    idle: timedelta
    """A pilot ends that has had no work for so long."""
    nodes: Literal["whole"] | None
    queue: str | None
    account: str | None

    def __init__(
        self,
        *,
        jobs: int,
        cpus: int = 1,
        mem: str | int | None = None,
        gpus: int = 0,
        time: str | int | timedelta | None = None,
        idle: str | int | timedelta = IDLE,
        nodes: Literal["whole"] | None = None,
        queue: str | None = None,
        account: str | None = None,
    ) -> None:
        """Read what users write: `mem="120G"`, `time="08:00:00"`, `idle="10m"`, `nodes="whole"`.

        Raises `ParameterError` for what cannot be used.
        """
        values = {
            "jobs": parse_count("jobs", jobs, least=1),
            "cpus": parse_count("cpus", cpus, least=1),
            "mem": None if mem is None else parse_pilot_memory(mem),
            "gpus": parse_count("gpus", gpus, least=0),
            "time": None if time is None else parse_time(time),
            "idle": parse_idle(idle),
            "nodes": _nodes(nodes),
            "queue": None if queue is None else parse_name("queue", queue),
            "account": None if account is None else parse_name("account", account),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def whole_nodes(self) -> bool:
        """Whether each job has its node for itself."""
        return self.nodes == "whole"

    def resources(self) -> Resources:
        """Return what each job asks for."""
        return Resources(
            cpus=self.cpus,
            time=self.time,
            mem=self.mem,
            gpus=self.gpus,
            queue=self.queue,
            account=self.account,
            whole_nodes=self.whole_nodes,
        )


def parse_pilot_memory(value: str | int) -> int:
    """Turn `120G`, or a number of bytes, into bytes that leave something for elements.

    Raises `ParameterError` for anything else.
    """
    size = parse_memory(value)
    if size <= KEPT_MEMORY:
        kept = f"{KEPT_MEMORY // 2**20}M"
        raise ParameterError(f"mem {value!r} is too little: a pilot keeps {kept} for reflow itself")
    return size


def parse_idle(value: str | int | timedelta) -> timedelta:
    """Turn `90s`, `10m`, `1h`, `HH:MM:SS`, whole minutes or a timedelta into a timedelta.

    Raises `ParameterError` for anything else.
    """
    span = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        if span is None:
            return parse_time(value)
        return parse_time(timedelta(**{_UNITS[span[2]]: int(span[1])}))
    except ParameterError as error:
        raise ParameterError(
            f"idle {value!r} is not a duration: write 90s, 10m, 1h, HH:MM:SS or whole minutes"
        ) from error


def _nodes(value: object) -> Literal["whole"] | None:
    if value is None or value == "whole":
        return None if value is None else "whole"
    raise ParameterError(
        f"nodes={value!r}: write 'whole' for nodes that each pilot has for itself, or leave it out"
    )
