"""What a person sees of a mistake in a flow that is run as a script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WRONG_OPTION = """
from reflow import Workflow

wf = Workflow("w")

@wf.job(cpu=4)
def a() -> int:
    return 1
"""
FAILING = """
from reflow import Workflow

wf = Workflow("w")

@wf.job()
def a() -> int:
    raise ValueError("no such luck")

wf.run_local()
"""
INTERRUPTED_WHILE_LOADING = """
import signal
import sys

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, CtrlC())
from reflow import Workflow

wf = Workflow("w")

@wf.job()
def a() -> int:
    return 1

if __name__ == "__main__":
    wf.cli()
"""


def run(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    (folder / "flow.py").write_text(source)
    return subprocess.run(
        [sys.executable, "flow.py"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_wrong_task_option_is_one_line_that_names_its_place(tmp_path: Path) -> None:
    ended = run(tmp_path, WRONG_OPTION)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "flow.py, line 6: error: " in line
    assert "did you mean 'cpus'?" in line


def test_a_failed_run_of_a_script_tells_what_failed_and_is_exit_code_one(tmp_path: Path) -> None:
    ended = run(tmp_path, FAILING)
    assert ended.returncode == 1
    assert "a: ValueError: no such luck" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_other_exceptions_keep_their_traceback(tmp_path: Path) -> None:
    ended = run(tmp_path, "import reflow\nreflow.Workflow('w')\n1 / 0\n")
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr


def test_a_variable_brings_the_traceback_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DEBUG", "1")
    assert "Traceback" in run(tmp_path, WRONG_OPTION).stderr


@pytest.mark.parametrize(
    "module",
    ["reflow.workflow", "reflow.model.resources", "reflow.wiring.options", "reflow.cli.flow"],
)
def test_ctrl_c_while_reflow_is_loaded_ends_a_script_without_a_word(
    tmp_path: Path, module: str
) -> None:
    ended = run(tmp_path, INTERRUPTED_WHILE_LOADING.replace("MODULE", repr(module)))
    assert (ended.returncode, ended.stderr) == (130, "")


def test_ctrl_c_in_the_users_own_code_keeps_its_traceback(tmp_path: Path) -> None:
    source = "import signal\nimport reflow\nsignal.raise_signal(signal.SIGINT)\n"
    assert "Traceback" in run(tmp_path, source).stderr
