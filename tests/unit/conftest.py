"""What starts processes is no unit test: those who try fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

STARTS = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"}
)


class Guard:
    """Keeps account of the processes that tests start; a hook of Python's for good."""

    def __init__(self) -> None:
        self.started: list[str] = []
        sys.addaudithook(self._audit)

    def _audit(self, event: str, given: tuple[Any, ...]) -> None:
        if event in STARTS:
            self.started.append(f"{event} {given[0] if given else ''}".strip())


@pytest.fixture(scope="session")
def guard() -> Guard:
    return Guard()


@pytest.fixture(autouse=True)
def no_processes(guard: Guard) -> Iterator[None]:
    """Fail a test that started a process: its place is in `tests/e2e` or `tests/faults`."""
    guard.started.clear()
    yield
    assert guard.started == [], "a unit test starts no processes"
