"""Reading how a cell is set up, from what qconf prints."""

from __future__ import annotations

import re

from reflow.plugin_api import SubmissionRefusedError

USUAL_ENVIRONMENTS = ("smp", "threaded", "threads", "shm", "sharedmem", "multicore", "openmp")
"""What parallel environments on one host are called most often."""


def number(configuration: str, name: str) -> int | None:
    """A number in the answer of `qconf -sconf`; 0 stands for no limit and gives None."""
    found = re.search(rf"^{name}\s+(\d+)\s*$", configuration, re.MULTILINE)
    return int(found[1]) or None if found else None


def room(places: int, largest: int) -> int:
    """How many more elements and plain jobs may be submitted, where an array takes one place.

    Each array may have a follow-up, which takes a place too, and one is left for a watchdog.
    Where there is but one place, an array is to have it.
    """
    arrays = max(1, (places - 1) // 2)
    return arrays * (largest + 1) + 1 if places > 0 else 0


def on_one_host(environment: str) -> bool:
    """Whether `qconf -sp` shows a parallel environment whose slots are all on one host."""
    rule = re.search(r"^allocation_rule\s+(\S+)", environment, re.MULTILINE)
    return rule is None or rule[1] == "$pe_slots"


def in_usual_order(names: list[str]) -> list[str]:
    """Parallel environments, those with the usual names first."""
    usual = [name for name in USUAL_ENVIRONMENTS if name in names]
    return [*usual, *(name for name in names if name not in usual)]


def no_environment(names: list[str]) -> SubmissionRefusedError:
    """What to say of a task of several CPUs where there are only these environments."""
    return SubmissionRefusedError(
        "a task asks for several CPUs, and Grid Engine has no parallel environment here "
        f"whose slots are all on one host (there are: {', '.join(names) or 'none'}). Name one "
        "as parallel_environment under [executor.sge], or ask for cpus=1"
    )
