"""`doctor` at the login node of a real scheduler."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.live.people import Person

FLOW = """
wf = Workflow("huge")


@wf.job(cpus=1)
def small() -> int:
    return 1


@wf.job(cpus=999)
def wide() -> int:
    return 1


@wf.job(mem="900G")
def fat() -> int:
    return 1
"""


def findings(person: Person, *words: str) -> dict[str, tuple[bool, str]]:
    """Type `reflow doctor WORDS --json`; return what it finds, by check."""
    ended = subprocess.run(
        [sys.executable, "-m", "reflow", "doctor", *words, "--json"],
        cwd=person.folder,
        env=person.environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    document = json.loads(ended.stdout)
    assert document["version"] == 1
    return {each["check"]: (each["ok"], each["text"]) for each in document["findings"]}
