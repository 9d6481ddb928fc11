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


def test_a_worker_loads_what_starts_programs_and_looks_at_files_only_where_it_does() -> None:
    code = (
        "import sys, reflow.execution.job_worker, reflow.execution.frozen; "
        "print('\\n'.join(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    loaded = set(subprocess.run(command, check=True, text=True, capture_output=True).stdout.split())
    looking = {f"reflow.fingerprint.files.{name}" for name in ("look", "trees", "contents")}
    not_needed = looking | {"subprocess", "calendar", "platform", "reflow.execution.witness"}
    assert loaded & not_needed == set()
