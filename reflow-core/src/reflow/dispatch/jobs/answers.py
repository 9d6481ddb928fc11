"""What a scheduler has answered, kept with the run for its later dispatchers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from reflow.rundir.files import read_bytes, write_whole


def read_answers(path: Path) -> dict[str, str]:
    """Return the kept answers by question; none where they cannot be read."""
    try:
        found = json.loads(read_bytes(path))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def keep_answers(path: Path, answers: Mapping[str, str]) -> None:
    """Keep answers by question. Where they cannot be written, the scheduler is asked again."""
    with suppress(OSError):
        write_whole(path, json.dumps(dict(answers)).encode())
