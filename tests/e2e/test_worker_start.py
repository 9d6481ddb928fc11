"""What a job's worker loads before it runs anything: it starts once for every element."""

from __future__ import annotations

import subprocess
import sys


def test_a_worker_loads_nothing_of_planning_and_of_the_manifest() -> None:
    code = "import sys, reflow.execution.job_worker; print('\\n'.join(sys.modules))"
    command = [sys.executable, "-c", code]
    loaded = set(subprocess.run(command, check=True, text=True, capture_output=True).stdout.split())
    not_needed = {"random", "secrets", "sqlite3", "reflow.model.graph", "reflow.model.records"}
    assert loaded & not_needed == set()
