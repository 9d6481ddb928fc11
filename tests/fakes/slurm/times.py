"""Times and spans as Slurm reads and writes them."""

from __future__ import annotations

import math
import re
import time
from datetime import datetime, timedelta

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_UNLIMITED = {"unlimited", "infinite", "-1"}


def parse_limit(text: str) -> tuple[bool, float | None]:
    """Read a time limit: whether it is valid, and its seconds (None for no limit).

    Forms of the manual: `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S`. Limits count in whole
    minutes, rounded up.
    """
    if text.lower() in _UNLIMITED:
        return True, None
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if match is None:
        return False, None
    days, first, second, third = (int(part) if part else None for part in match.groups())
    if days is not None:
        hours, minutes, seconds = first or 0, second or 0, third or 0
    elif third is not None:
        hours, minutes, seconds = first or 0, second or 0, third
    else:
        hours, minutes, seconds = 0, first or 0, second or 0
    total = (days or 0) * 86400 + hours * 3600 + minutes * 60 + seconds
    return True, math.ceil(total / 60) * 60.0 or None


def write_limit(seconds: float | None) -> str:
    """Write a time limit as squeue's `%l` does."""
    return "UNLIMITED" if seconds is None else write_span(seconds)


def write_span(seconds: float) -> str:
    """Write a span as squeue does: `0:02`, `1:00:00`, `2-03:00:00`."""
    days, hours, minutes, rest = _split(seconds)
    if days:
        return f"{days}-{hours:02d}:{minutes:02d}:{rest:02d}"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def write_long_span(seconds: float) -> str:
    """Write a span as sacct and scontrol do: `00:00:02`, `1-00:00:00`."""
    days, hours, minutes, rest = _split(seconds)
    return (f"{days}-" if days else "") + f"{hours:02d}:{minutes:02d}:{rest:02d}"


def _split(seconds: float) -> tuple[int, int, int, int]:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return days, hours, minutes, rest


def write_moment(moment: float | None, absent: str = "N/A") -> str:
    """Write a moment as `2026-11-22T06:12:00`, local time."""
    if moment is None:
        return absent
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(moment))


def parse_moment(text: str, now: float) -> float | None:
    """Read a moment: `now+1hour`, `16:00`, `2030-01-20[T12:34[:00]]`; None for invalid."""
    match = re.fullmatch(r"now(?:([+-])(\d+)\s*([a-z]*))?", text, re.IGNORECASE)
    if match is not None:
        unit = (match[3] or "second").lower().removesuffix("s") if match[2] else "second"
        named = [seconds for name, seconds in _UNITS.items() if name.startswith(unit)]
        if not named:
            return None
        return now + int(match[2] or 0) * named[0] * (-1 if match[1] == "-" else 1)
    today = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    if text in ("midnight", "today"):
        return (today + timedelta(days=text == "midnight")).timestamp()
    if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", text):
        hour, minute, *second = map(int, text.split(":"))
        if hour > 23 or minute > 59:
            return None
        chosen = today.replace(hour=hour, minute=minute, second=second[0] if second else 0)
        return chosen.timestamp()
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
