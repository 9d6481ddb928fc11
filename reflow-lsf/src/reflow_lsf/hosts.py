"""Whether any host could ever run a waiting job, which LSF itself does not tell."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace

from reflow.plugin_api import Command, CommandResult, SchedulerUnavailableError, parse_memory

from reflow_lsf.rows import Row

_ASK_AGAIN = 600.0
"""Seconds for which data about the hosts is valid."""

_ABOUT_HOSTS = re.compile(r"requirement|not enough|suitable host|host.based|candidate", re.I)
"""Pending reasons that pass once a host has room, or never. IBM LSF gives only one of many in
JSON, and summarises those of the hosts."""
_MEMORY = re.compile(r"rusage\[[^\]]*?\bmem=(\d+)(?:\.\d*)?(?=[:,\]])")
"""A request for memory without a unit."""
_ROUNDED = 1.05
"""The factor of rounding: `15.4G` may stand for a little more."""
_TILE = re.compile(r"span\[ptile=(\d+)\]")


class Hosts:
    """The resources of hosts, queried when a job waits for them."""

    def __init__(
        self, ask: Callable[[Command], CommandResult], lshosts: str, bhosts: str, unit: int
    ) -> None:
        self._ask = ask
        self._lshosts = lshosts
        self._bhosts = bhosts
        self._unit = unit
        self._known: dict[str, tuple[float, str]] = {}

    def judged(self, row: Row) -> Row:
        """Return the row, with the reason where no host could ever run that job."""
        if row.state != "PEND" or not _ABOUT_HOSTS.search(row.reason):
            return row
        return replace(row, hopeless=self._too_much_memory(row) or self._too_many_slots(row))

    def _too_much_memory(self, row: Row) -> str:
        wanted = _MEMORY.search(row.requirements)
        if wanted is None:
            return ""
        most = _largest_memory(self._printed(self._lshosts))
        if most is None or int(wanted[1]) * self._unit <= most * _ROUNDED:
            return ""
        return (
            f"no host has the memory that the job reserves: {wanted[1]}, where "
            f"the largest has {most // self._unit} (see `lshosts -w`)"
        )

    def _too_many_slots(self, row: Row) -> str:
        wanted = _slots_on_one_host(row)
        if wanted <= 1:
            return ""
        most = _most_slots(self._printed(self._bhosts))
        if most is None or wanted <= most:
            return ""
        return (
            f"no host has the {wanted} slots that the job asks for on one host: "
            f"at most {most} (see `bhosts`)"
        )

    def _printed(self, command: str) -> str:
        """Return what a command prints of all hosts; an empty text where it fails."""
        asked, answer = self._known.get(command, (-_ASK_AGAIN, ""))
        if time.monotonic() - asked >= _ASK_AGAIN:
            try:
                answer = self._ask(Command((command, "-w"))).stdout
            except SchedulerUnavailableError:
                answer = ""
            self._known[command] = (time.monotonic(), answer)
        return answer


def _slots_on_one_host(row: Row) -> int:
    tile = _TILE.search(row.requirements)
    if tile is not None:
        return int(tile[1])
    return row.slots if "span[hosts=1]" in row.requirements else 1


def _largest_memory(lshosts: str) -> int | None:
    """Return the largest memory in bytes; None where that of a host that runs jobs is unknown."""
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
    """Return the most slots of a host; None where a host has no limit."""
    slots = [line.split()[3] for line in bhosts.splitlines()[1:] if len(line.split()) > 3]
    return max(map(int, slots), default=None) if all(map(str.isdigit, slots)) else None
