"""The request that unit tests of every backend start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reflow.model.jobs import JobRequest

TOKEN = "convert-ab12-3"

Answer = tuple[int, str, str] | Exception
"""What a command ended with and printed, or what it raised."""
MakeRequest = Callable[..., JobRequest]


@pytest.fixture
def request_for(tmp_path: Path) -> MakeRequest:
    def make(**fields: Any) -> JobRequest:
        given: dict[str, Any] = {
            "token": TOKEN,
            "command": ("/usr/bin/python3", "-m", "work"),
            "directory": tmp_path,
            "working_directory": Path("/data"),
            **fields,
        }
        return JobRequest(**given)

    return make
