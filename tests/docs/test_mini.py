"""reflow in 150 lines: the script of "How it works" does what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import REPOSITORY

SCRIPT = REPOSITORY / "docs" / "examples" / "mini" / "mini.py"
DIES_ONCE = """
    mark = Path(sys.argv[2]) / "died"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), 9)
    return sum(values)
"""


def run(script: Path, folder: Path) -> str:
    ended = subprocess.run(
        [sys.executable, script, folder], capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """Write the script with another piece of text in it."""
    text = SCRIPT.read_text()
    assert text.count(old) == 1
    script = tmp_path / "changed.py"
    script.write_text(text.replace(old, new))
    return script


def test_it_is_no_longer_than_it_says() -> None:
    assert sum(bool(line.strip()) for line in SCRIPT.read_text().splitlines()) <= 150


def test_a_run_gives_its_result_and_runs_each_task_once(tmp_path: Path) -> None:
    assert run(SCRIPT, tmp_path / "run") == "0.5\n"
    assert run(SCRIPT, tmp_path / "run") == "0.5\n"
    claims = sorted(path.name for path in (tmp_path / "run" / "claims").iterdir())
    assert claims == ["largest.1", "numbers.1", "share.1", "total.1"]


def test_a_task_whose_process_is_killed_is_tried_again(tmp_path: Path) -> None:
    script = changed(tmp_path, "    return sum(values)\n", DIES_ONCE)
    assert run(script, tmp_path / "run") == "0.5\n"
    assert (tmp_path / "run" / "claims" / "total.2").exists()


def test_a_task_that_fails_every_time_ends_the_run(tmp_path: Path) -> None:
    script = changed(tmp_path, "return sum(values)", "os._exit(1)")
    assert run(script, tmp_path / "run") == "total has failed\n"


@pytest.mark.parametrize("step", ["lease.heartbeat()", "follow_up = f", "put(run / 'over', json"])
def test_a_dispatcher_may_be_killed_at_any_step(tmp_path: Path, step: str) -> None:
    step = step.replace("'", '"')
    dies = "(run / 'died').exists() or ((run / 'died').touch(), os._exit(9))\n            "
    script = changed(tmp_path, f"            {step}", f"            {dies}{step}")
    folder = tmp_path / "run"
    # The first process is a dispatcher, too: if it was the one to die, it is started again.
    subprocess.run([sys.executable, script, folder], capture_output=True, check=False)
    assert (folder / "died").exists()
    assert run(script, folder) == "0.5\n"


def test_of_two_processes_that_were_given_one_attempt_one_runs_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for name in ("claims", "results"):
        (folder / name).mkdir(parents=True)
    (folder / "results" / "numbers").write_text("[1]")
    started = [
        subprocess.Popen([sys.executable, SCRIPT, "work", folder, "total", "1"]) for _ in range(2)
    ]
    assert [process.wait() for process in started] == [0, 0]
    owner = json.loads((folder / "claims" / "total.1").read_text())
    assert owner in [process.pid for process in started]
    assert json.loads((folder / "results" / "total").read_text()) == 1
    assert [path.name for path in (folder / "claims").iterdir()] == ["total.1"]
