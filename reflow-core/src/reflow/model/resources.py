"""The resources that a task asks for: the values, and the units users write them in."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from reflow.errors import ParameterError

_CLOCK = re.compile(
    r"(?:(?P<days>\d+)-)?(?P<hours>\d{1,4}):(?P<minutes>[0-5]?\d):(?P<seconds>[0-5]?\d)"
)
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?:(?P<unit>[KMGTP])(?:i?B)?|B)", re.IGNORECASE)
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one instance asks for. `mem` is bytes per node; None leaves it to the site."""

    cpus: int = 1
    time: timedelta | None = None
    mem: int | None = None
    gpus: int = 0
    nodes: int = 1
    queue: str | None = None
    account: str | None = None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Extra options by executor name: `{"pond": {"qos": "high"}}`."""
    whole_nodes: bool = False
    """The job has its nodes for itself."""


def parse_time(value: str | int | timedelta) -> timedelta:
    """Turn `HH:MM:SS`, `D-HH:MM:SS`, whole minutes or a timedelta into a timedelta.

    Raises `ParameterError` for anything else; `MM:SS` is refused, as it reads as `HH:MM` to
    others.
    """
    if isinstance(value, timedelta):
        duration = value
    elif isinstance(value, int) and not isinstance(value, bool):
        duration = timedelta(minutes=value)
    elif isinstance(value, str) and (match := _CLOCK.fullmatch(value.strip())):
        duration = timedelta(
            **{unit: int(digits or 0) for unit, digits in match.groupdict().items()}
        )
    elif isinstance(value, str) and re.fullmatch(r"\d+:\d+", value.strip()):
        raise ParameterError(
            f"time {value!r} is ambiguous: write HH:MM:SS, for example '00:{value.strip()}'"
        )
    else:
        raise ParameterError(
            f"time {value!r} is not a duration: write HH:MM:SS, D-HH:MM:SS, whole minutes "
            "or a timedelta"
        )
    if duration <= timedelta(0):
        raise ParameterError(f"time {value!r} must be longer than nothing")
    return duration


def time_text(duration: timedelta) -> str:
    """Write a time limit as `HH:MM:SS` or `D-HH:MM:SS`, rounded up to whole seconds."""
    seconds = math.ceil(duration.total_seconds())
    hours, minutes = divmod(seconds // 60, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours:02}:{minutes:02}:{seconds % 60:02}"
    return f"{days}-{clock}" if days else clock


def parse_memory(value: str | int) -> int:
    """Turn `4G`, `512M`, `1.5GiB` or a number of bytes into bytes. Suffixes are binary.

    Raises `ParameterError` for anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        size = round(float(match["number"]) * 1024 ** _UNITS[(match["unit"] or "").upper()])
    else:
        raise ParameterError(
            f"mem {value!r} is not a size: write '4G', '512M', '1.5GiB' or bytes as a whole number"
        )
    if size <= 0:
        raise ParameterError(f"mem {value!r} must be greater than zero")
    return size


def memory_text(size: int) -> str:
    """Write a number of bytes with the largest unit that leaves it whole: `4G`, `1500M`, `100`."""
    power = 0
    while power < 4 and size and size % 1024 == 0:
        size, power = size // 1024, power + 1
    return f"{size}{' KMGT'[power].strip()}"


def parse_count(name: str, value: object, *, least: int) -> int:
    """Return a whole number of at least `least`. Raises `ParameterError` for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ParameterError(f"{name}={value!r}: write a whole number of at least {least}")
    return value


def parse_name(name: str, value: object) -> str:
    """Return the name of a queue or an account. Raises `ParameterError` for anything else."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ParameterError(f"{name}={value!r}: write a name")
    return value
