"""What the tests of the reference pages share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.reference.flows import GETTING_STARTED, FlowFile, WriteFlow


@pytest.fixture
def write_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WriteFlow]:
    """Write a flow into `flow.py`; `{here}` in its source is the test's folder."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(source: str) -> FlowFile:
        path = tmp_path / "flow.py"
        path.write_text(dedent(source).replace("{here}", str(tmp_path)))
        return FlowFile(path)

    sys.modules.pop("flow", None)
    yield write
    sys.modules.pop("flow", None)


@pytest.fixture
def getting_started(write_flow: WriteFlow) -> FlowFile:
    """The workflow of the getting-started page."""
    return write_flow(GETTING_STARTED)
