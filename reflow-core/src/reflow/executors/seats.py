"""How many CPUs and GPUs of this machine elements may take together, and which each gets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from reflow.model.resources import Resources

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Variables from which libraries of linear algebra read their number of threads when loaded."""
DEVICES_VARIABLE = "CUDA_VISIBLE_DEVICES"
_DEVICES = Path("/proc/driver/nvidia/gpus")


class Seats:
    """Counts CPUs, GPUs and memory. An element that asks for more than there is takes all of it."""

    def __init__(self, cpus: int, gpus: int, mem: int | None = None) -> None:
        """Count so much; `mem` is in bytes, None where memory is not counted."""
        self.cpus = cpus
        self._gpus = gpus
        self._mem = mem or 0

    def needs(self, resources: Resources) -> tuple[int, int, int]:
        """Return the CPUs, GPUs and bytes that an element takes; without a number, its part."""
        cpus = min(resources.cpus, self.cpus)
        mem = self._mem * cpus // self.cpus if resources.mem is None else resources.mem
        return cpus, min(resources.gpus, self._gpus), min(mem, self._mem)

    def is_small(self, resources: Resources) -> bool:
        """Tell whether as many such elements fit as there are CPUs."""
        cpus, gpus, mem = self.needs(resources)
        return cpus == 1 and gpus == 0 and mem <= self._mem // self.cpus

    def room(self, resources: Resources, taken: Iterable[tuple[Resources, int]]) -> int:
        """Return how many more elements fit beside those that are running."""
        free = [self.cpus, self._gpus, self._mem]
        for held, number in taken:
            for kind, need in enumerate(self.needs(held)):
                free[kind] -= need * number
        needs = self.needs(resources)
        return max(0, min(have // need for have, need in zip(free, needs, strict=True) if need))


def thread_variables(cpus: int, given: Mapping[str, str]) -> dict[str, str]:
    """Return variables by which libraries start as many threads as they have CPUs.

    Variables that the user has set are kept; where the first is set, none is added.
    """
    if THREAD_VARIABLES[0] in given:
        return {}
    return {name: str(cpus) for name in THREAD_VARIABLES if name not in given}


def usable_gpus(configured: int | None = None) -> list[str]:
    """List the GPUs that this process may use, as CUDA names them.

    They are those of the environment, else those configured, else those found.
    """
    devices = os.environ.get(DEVICES_VARIABLE)
    if devices is not None:
        return [name.strip() for name in devices.split(",") if name.strip() not in ("", "-1")]
    if configured is None:
        configured = len(list(_DEVICES.glob("*")))
    return [str(number) for number in range(configured)]


def device_variables(devices: Sequence[str]) -> dict[str, str]:
    """Return the variable by which CUDA sees those devices alone, and none without a request."""
    return {DEVICES_VARIABLE: ",".join(devices)} if devices else {}
