"""Fixtures that the tests of whole workflows share with those of faults."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reflow.plugins.registry import set_registry

from tests.e2e.support import FlowFile, nothing_left


@pytest.fixture
def flow_file(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., FlowFile]]:
    """Write a flow into `flow.py` of the test's folder; no process of it outlives the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    # Marks every process that comes of this test, whatever its command line.
    monkeypatch.setenv("ENGINE_TEST_FOLDER", str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    previous = set_registry(None)

    def write(source: str, name: str = "flow") -> FlowFile:
        return FlowFile(tmp_path, name).write(source)

    with nothing_left(tmp_path):
        yield write
    set_registry(previous)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
