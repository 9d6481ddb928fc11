"""Whether any host could ever take a job that waits: LSF itself does not say."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace

from reflow.plugin_api import Command, CommandResult, SchedulerUnavailableError, parse_memory

from reflow_lsf.answers import Row

_ASK_AGAIN = 600.0
"""Seconds for which what is known of the hosts is good."""

_MEMORY = re.compile(r"rusage\[[^\]]*?\bmem=(\d+)")
_PROCESSORS = re.compile(r"(\d+) ?Processors ?Requested")
_ROUNDED = 1.05
"""`15.4G` may be a little more."""
_TILE = re.compile(r"span\[ptile=(\d+)\]")
_ABOUT_MEMORY = re.compile(r"resource (?:requirements|reservation) not satisfied")
"""Pending reasons that pass once memory is free, or never."""
_ABOUT_SLOTS = re.compile(r"spanning requirement|Not enough job slot")
"""Pending reasons that pass once slots are free, or never."""


class Hosts:
    """What hosts have, asked for when a job waits for it."""

    def __init__(
        self, ask: Callable[[Command], CommandResult], lshosts: str, bhosts: str, unit: int
    ) -> None:
        self._ask = ask
        self._lshosts = lshosts
        self._bhosts = bhosts
        self._unit = unit
        self._known: dict[str, tuple[float, str]] = {}

    def judged(self, row: Row) -> Row:
        """The same, with a word about it where no host could ever take that job."""
        if row.state != "PEND":
            return row
        if _ABOUT_MEMORY.search(row.reason):
            said = too_much_memory(row.asked, self._unit, self._said(self._lshosts))
            return replace(row, hopeless=said)
        if _ABOUT_SLOTS.search(row.reason):
            return replace(row, hopeless=too_many_slots(row.asked, self._said(self._bhosts)))
        return row

    def _said(self, command: str) -> str:
        """What a command says of all hosts; nothing where that cannot be had."""
        asked, said = self._known.get(command, (-_ASK_AGAIN, ""))
        if time.monotonic() - asked >= _ASK_AGAIN:
            try:
                said = self._ask(Command((command, "-w"))).stdout
            except SchedulerUnavailableError:
                said = ""
            self._known[command] = (time.monotonic(), said)
        return said


def too_much_memory(asked: str, unit: int, lshosts: str) -> str:
    """Why no host in `lshosts -w` has as much as a job reserves; else nothing.

    `asked` is how bjobs words the submission, `unit` the bytes that its numbers count.
    """
    wanted = _MEMORY.search(asked)
    most = _largest_memory(lshosts)
    if wanted is None or most is None or int(wanted[1]) * unit <= most * _ROUNDED:
        return ""
    return (
        f"no host has the memory that it reserves: {wanted[1]} asked for, "
        f"at most {most // unit} (see `lshosts -w`)"
    )


def too_many_slots(asked: str, bhosts: str) -> str:
    """Why no host in `bhosts -w` has as many slots as a job wants on one; else nothing."""
    found = _TILE.search(asked)
    if found is None and "span[hosts=1]" in asked:
        found = _PROCESSORS.search(asked)
    most = _most_slots(bhosts)
    if found is None or most is None or int(found[1]) <= most:
        return ""
    return f"no host has the {found[1]} slots that it wants on one: at most {most} (see `bhosts`)"


def _largest_memory(lshosts: str) -> int | None:
    """In bytes; None where it is not known of every host that runs jobs."""
    sizes = []
    for line in lshosts.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[7] == "No":
            continue
        try:
            sizes.append(parse_memory(fields[5]))
        except ValueError:
            return None
    return max(sizes, default=None)


def _most_slots(bhosts: str) -> int | None:
    """None where a host has no limit."""
    slots = [line.split()[3] for line in bhosts.splitlines()[1:] if len(line.split()) > 3]
    return max(map(int, slots), default=None) if all(map(str.isdigit, slots)) else None
