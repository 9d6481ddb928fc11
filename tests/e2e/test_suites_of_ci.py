"""What CI makes of a suite: a second try, a report, and the totals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
