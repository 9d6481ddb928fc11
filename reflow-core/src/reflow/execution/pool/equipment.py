"""The threads and GPUs of elements that share a process, as far as they can share one.

Libraries read how many threads to start, and which GPUs there are, when they are loaded, and never
again. So a worker that has loaded one replaces itself, by `exec`, for an element of another size.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reflow.executors.seats import device_variables, thread_variables
from reflow.model.resources import Resources

LIBRARIES = (b"libgomp", b"libiomp", b"libomp", b"openblas", b"mkl_", b"libblis", b"libcuda")
"""Parts of the names of libraries that keep what they were loaded with."""
LOOK_EVERY = 0.05


class Devices:
    """GPUs that the workers of a pool share: a worker locks those of the element that it runs."""

    def __init__(self, descriptor: int, names: Sequence[str]) -> None:
        """Share devices by locks on a file, whose descriptor all workers have open."""
        self._descriptor = descriptor
        self._names = names
        self._last: tuple[int, ...] = ()
        self.release()

    def hold(self, number: int) -> tuple[str, ...]:
        """Lock that many devices, waiting for them; those held before, if they are free."""
        number = min(number, len(self._names))
        others = (each for each in range(len(self._names)) if each not in self._last)
        order = [*self._last, *others]
        while len(held := self._locked(order, number)) < number:
            self.release()
            time.sleep(LOOK_EVERY)
        self._last = held or self._last
        return tuple(self._names[each] for each in held)

    def release(self) -> None:
        """Unlock all devices. Without any, no lock is asked for: not every file system has them."""
        if self._names:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _locked(self, order: Sequence[int], number: int) -> tuple[int, ...]:
        held: list[int] = []
        for each in order:
            if len(held) == number:
                break
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, each)
            except OSError:
                continue
            held.append(each)
        return tuple(held)


class Equipment:
    """Sets the variables that give an element of a worker its threads and its GPUs."""

    def __init__(self, devices: Devices, begin_anew: Callable[[Mapping[str, str]], None]) -> None:
        """Use `begin_anew` to replace this process by one with that environment."""
        self._devices = devices
        self._begin_anew = begin_anew
        self._origin = dict(os.environ)
        self._given: Mapping[str, str] = self._origin
        self._set: dict[str, str] | None = None
        self._in_place = False
        """Whether the variables are set, as they stay from one element to the next."""

    def load(self, load: Callable[[], object]) -> None:
        """Load the flow; leave alone from then on the variables that the flow sets itself."""
        load()
        for name, value in (self._set or {}).items():
            if os.environ.get(name) == value and name not in self._origin:
                del os.environ[name]
        self._given = dict(os.environ)
        self._in_place = False

    def give(self, resources: Resources) -> bool:
        """Set the variables for an element; tell whether they are others than before."""
        held = device_variables(self._devices.hold(resources.gpus))
        wanted = thread_variables(resources.cpus, self._given) | held
        if self._set not in (None, wanted) and _are_loaded():
            self.begin_anew()
        if self._in_place and self._set == wanted:
            return False
        for name in (self._set or {}).keys() - wanted.keys():
            _set_variable(name, self._given.get(name))
        for name, value in wanted.items():
            _set_variable(name, value)
        self._set, self._in_place = wanted, True
        return True

    def begin_anew(self) -> None:
        """Replace this process by one with the environment that it was started with."""
        self._begin_anew(self._origin)

    def take_back(self) -> None:
        """Unlock the element's GPUs."""
        self._devices.release()


def _set_variable(name: str, value: str | None) -> None:
    """Set a variable of the environment, or remove it for None, where it is not so."""
    if value is None:
        os.environ.pop(name, None)
    elif os.environ.get(name) != value:
        os.environ[name] = value


def _are_loaded() -> bool:
    try:
        mapped = Path("/proc/self/maps").read_bytes()
    except OSError:
        return True
    return any(name in mapped for name in LIBRARIES)
