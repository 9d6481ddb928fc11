"""Flux's standard durations."""

from __future__ import annotations

import re
import time
from datetime import datetime

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse(text: str, bare: float = 1.0) -> float | None:
    """Read `2s`, `1.5h`; None for invalid. A number without a unit counts `bare` seconds each."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h|d)?", text)
    if match is None:
        return None
    return float(match[1]) * (_UNITS[match[2]] if match[2] else bare)


def write(seconds: float) -> str:
    """Write a duration: `2.038s`, `1h`, `59.97m`."""
    for unit in ("d", "h", "m"):
        if seconds >= _UNITS[unit]:
            return f"{seconds / _UNITS[unit]:.4g}{unit}"
    return f"{seconds:.4g}s"


def parse_moment(text: str, now: float) -> float | None:
    """Read a begin time: `+1h`, `+30s`, a date and time; None for invalid."""
    if text.startswith("+"):
        span = parse(text[1:])
        return None if span is None else now + span
    if text == "now":
        return now
    match = re.fullmatch(r"(\d{1,2}):(\d\d)(?::(\d\d))?", text)
    if match is not None:
        today = time.localtime(now)
        moment = time.mktime(
            (*today[:3], int(match[1]), int(match[2]), int(match[3] or 0), 0, 0, -1)
        )
        return moment if moment > now else moment + 86400
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
