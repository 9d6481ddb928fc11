"""What CI makes of a suite: a second try, a report, and the totals."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.support import until

ROOT = Path(__file__).parents[2]
FLAKY = """
from pathlib import Path

def test_right():
    pass

def test_right_the_second_time():
    seen = Path("seen")
    again = seen.exists()
    seen.touch()
    assert again
"""
WRONG = "def test_wrong():\n    assert False\n"
BROKEN = "import something_that_nobody_has\n"
EXITS = "import pytest\n\ndef test_that_ends_all():\n    pytest.exit('now', returncode=3)\n"


def run_suite(folder: Path, text: str) -> tuple[int, str]:
    """Run a suite of one file as CI does; its exit code, and what the totals say."""
    (folder / "test_it.py").write_text(text)
    environment = {**os.environ, "REPORTS": str(folder / "reports")}
    command = [str(ROOT / ".ci" / "suite"), "mine", sys.executable, "-m", "pytest", "test_it.py"]
    options = ["-c", os.devnull, "--rootdir", str(folder)]
    suite = subprocess.run([*command, *options], cwd=folder, env=environment, check=False)
    totals = [sys.executable, str(ROOT / "scripts" / "totals.py"), str(folder / "reports")]
    return suite.returncode, subprocess.run(totals, capture_output=True, text=True).stdout


def test_what_passes_when_it_is_run_once_more_passes_and_is_named(tmp_path: Path) -> None:
    code, said = run_suite(tmp_path, FLAKY)
    assert code == 0
    assert said.splitlines()[-1] == "2 passed, 0 failed, 0 skipped"
    assert "flaky, passed when it was run once more and alone: test_it::test_right_the_sec" in said


def test_what_fails_twice_fails_the_suite(tmp_path: Path) -> None:
    code, said = run_suite(tmp_path, WRONG)
    assert code == 1
    assert said.splitlines()[-1] == "0 passed, 1 failed, 0 skipped"


@pytest.mark.parametrize(("text", "meaning"), [(BROKEN, 2), (EXITS, 3)])
def test_a_suite_that_did_not_come_to_its_end_fails_at_once(
    tmp_path: Path, text: str, meaning: int
) -> None:
    code, _ = run_suite(tmp_path, text)
    assert code == meaning
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["mine.1.xml"]


STEPS = ("demo", "scripts/docs", "scripts/lint", "scripts/system_packages", "scripts/types", "test")
"""What CI runs besides its own scripts; each is replaced by a script that only says its name."""


def run_ci(folder: Path, **scripts: str) -> tuple[int, str]:
    """Run CI with scripts in place of its steps; its exit code, and what it printed."""
    (folder / ".ci").mkdir()
    for name in ("run", "suite"):
        shutil.copy(ROOT / ".ci" / name, folder / ".ci" / name)
    steps = dict.fromkeys((*STEPS, "scripts/venv", "scripts/clock_ahead", ".ci/live"), "")
    steps |= {".venv/bin/python": "", "demo": "echo results came from the cache", **scripts}
    for name, line in steps.items():
        script = folder / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(0o755)
    (folder / "scripts/totals.py").write_text("print('1 passed, 0 failed, 0 skipped')")
    ended = subprocess.run([folder / ".ci/run"], capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout


def test_ci_ends_with_the_totals(tmp_path: Path) -> None:
    code, said = run_ci(tmp_path)
    assert (code, said.splitlines()[-1]) == (0, "1 passed, 0 failed, 0 skipped")
    assert "failed:" not in said


def test_tests_that_fail_are_named_after_all_others_have_run(tmp_path: Path) -> None:
    live = "[ $1 = install ] || { echo live tests; exit 1; }"
    code, said = run_ci(tmp_path, **{"test": "exit 2", ".ci/live": live})
    assert code == 1
    assert "\nlive tests\n" in said
    *_, first, second, totals = said.splitlines()
    assert first == "failed: the README's second command: every test"
    assert second == "failed: whole workflows on real schedulers"
    assert totals == "1 passed, 0 failed, 0 skipped"


def test_a_step_that_all_others_need_ends_ci_and_is_named(tmp_path: Path) -> None:
    code, said = run_ci(tmp_path, **{"scripts/types": "exit 1"})
    assert code == 1
    assert "did not get past: types" in said
    assert "every test" not in said


def test_live_tests_end_with_ci(tmp_path: Path) -> None:
    live, ci = tmp_path / "live", tmp_path / "ci"
    steps = {
        "scripts/types": f"echo $PPID >{ci}",
        ".ci/live": f"[ $1 = install ] || {{ echo $$ >{live}; exec sleep 60; }}",
        "scripts/clock_ahead": f"until [ -s {live} ]; do sleep 0.05; done; kill -TERM $(cat {ci})",
    }
    code, said = run_ci(tmp_path, **steps)
    assert code != 0
    assert "did not get past: three months from now" in said
    until(lambda: not Path("/proc", live.read_text().strip()).exists(), seconds=20)
