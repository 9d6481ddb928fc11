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


def test_a_worker_is_told_what_it_needs_of_the_configuration_without_loading_that() -> None:
    code = """
import sys
from pathlib import Path
from reflow.rundir.run_settings import RunSettings

here = Path()
settings = RunSettings(
    run_id="r", workflow="w", run_dir=here, store="", executor="", python="",
    working_directory=here, flow=None, parameters={},
    config_data={"cache": {"files": "content", "ignore": ["x"]}, "files": {"latency": 5}},
)
print(settings.files_mode, settings.ignored_files, settings.latency)
print("reflow.config.schema" in sys.modules)
"""
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, check=True, text=True, capture_output=True).stdout
    assert told == "content ('x',) 5.0\nFalse\n"
