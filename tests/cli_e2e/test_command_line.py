"""What matters at a real terminal or a real pipe, tried on real processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from reflow.model.states import RunState

from tests.cli_e2e.conftest import Gate
from tests.cli_e2e.terminal import (
    COLUMNS,
    ESCAPE,
    Terminal,
    complete,
    run,
    until,
    with_a_reader_that_left,
)

REFLOW = ("-m", "reflow")


@pytest.fixture
def finished(gate: Gate) -> str:
    """The id of a run that has succeeded."""
    ended = gate.workflow.run_local(max_workers=1)
    assert ended.state is RunState.SUCCESS
    return ended.run_id


# -- submit, wait, watch --------------------------------------------------------------------


def test_submit_returns_and_the_run_goes_on_by_itself(gate: Gate) -> None:
    submitted = run("flow.py", "submit", "--closed")
    assert submitted.returncode == 0
    run_id = submitted.stdout.removesuffix("\n")
    assert re.fullmatch(r"gate-\d{8}-[0-9a-f]{4}", run_id)
    assert f"status {run_id} --watch" in submitted.stderr
    until(gate.is_reached)
    assert f"{run_id}  RUNNING" in run("flow.py", "status").stdout
    gate.open()
    watched = run(*REFLOW, "status", run_id, "--watch")
    assert watched.returncode == 0
    assert f"{run_id}  SUCCESS" in watched.stdout
    assert run("flow.py", "logs", run_id, "wait", "1").stdout == "waiting: uoy\n"


def test_a_run_that_looks_after_itself_is_followed_by_watching(gate: Gate) -> None:
    followed = run("flow.py", "submit", "--follow")
    assert followed.returncode == 0
    assert f"{followed.stdout.strip()}  SUCCESS" in followed.stderr


def test_submit_with_wait_and_watch_tell_a_failed_run_by_their_exit_code(gate: Gate) -> None:
    waited = run("flow.py", "submit", "--wait", "--fail")
    assert waited.returncode == 1
    run_id = waited.stdout.strip()
    assert "ValueError: as was asked" in waited.stderr
    assert run("flow.py", "status", run_id, "--watch").returncode == 1
    assert run("flow.py", "status", run_id).returncode == 0


def test_cancel_ends_what_waits(gate: Gate) -> None:
    run_id = run("flow.py", "submit", "--closed").stdout.strip()
    until(gate.is_reached)
    cancelled = run("flow.py", "cancel", run_id)
    assert cancelled.returncode == 0
    assert "3 instances cancelled" in cancelled.stdout
    assert gate.workflow.open_run(run_id).state is RunState.CANCELLED


# -- Ctrl-C ---------------------------------------------------------------------------------


def test_ctrl_c_during_run_says_what_is_kept_and_how_to_go_on(gate: Gate) -> None:
    with Terminal("flow.py", "run", "--closed", "--max-workers", "2") as terminal:
        until(gate.is_reached)
        terminal.press_ctrl_c()
        assert terminal.end() == 130
    (record,) = gate.workflow.store.list_runs()
    assert record.state is RunState.CANCELLED
    assert "stopped; what had finished is kept" in terminal.shown
    assert f"retry {record.run_id}" in terminal.shown.replace("\n", " ")
    assert "Traceback" not in terminal.shown


@pytest.mark.parametrize("words", [("submit", "--closed", "--wait"), ("status", "--watch")])
def test_ctrl_c_while_watching_leaves_the_run_alone(gate: Gate, words: tuple[str, ...]) -> None:
    if words[0] == "status":
        run("flow.py", "submit", "--closed")
    with Terminal("flow.py", *words) as terminal:
        terminal.wait_for("RUNNING")
        terminal.press_ctrl_c()
        assert terminal.end() == 130
    assert "goes on by itself" in terminal.shown
    assert "Traceback" not in terminal.shown
    (record,) = gate.workflow.store.list_runs()
    gate.open()
    assert gate.workflow.open_run(record.run_id).wait(timeout=60) is RunState.SUCCESS


# -- terminals and pipes --------------------------------------------------------------------


def test_a_terminal_gets_colours_within_its_width(gate: Gate) -> None:
    with Terminal("flow.py", "run") as terminal:
        assert terminal.end() == 0
    assert ESCAPE.search(terminal.shown)
    lines = ESCAPE.sub("", terminal.shown).splitlines()
    table = [line for line in lines if re.match(r"(task|begin|wait|end) ", line)]
    assert max(map(len, table)) <= COLUMNS
    assert "end returned you and uoy" in lines


def test_no_color_is_honoured_on_a_terminal(gate: Gate, finished: str) -> None:
    with Terminal("flow.py", "status", NO_COLOR="1") as terminal:
        assert terminal.end() == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", terminal.shown)


def test_a_pipe_gets_no_escape_sequences(gate: Gate) -> None:
    for words in (["run"], ["run", "--help"], ["status", "nope"]):
        ended = run("flow.py", *words)
        assert "\x1b" not in ended.stdout + ended.stderr


def test_a_reader_that_leaves_early_is_nobody_s_mistake(gate: Gate, finished: str) -> None:
    for words in (["status"], ["status", "--json"], ["logs", finished, "wait", "0"]):
        assert with_a_reader_that_left("flow.py", *words) == (0, "")


def test_a_run_goes_on_when_nobody_reads_its_progress(gate: Gate) -> None:
    assert with_a_reader_that_left("flow.py", "run") == (0, "")
    assert gate.workflow.store.list_runs()[0].state is RunState.SUCCESS


def test_output_that_the_encoding_lacks_is_replaced(gate: Gate) -> None:
    ended = run("flow.py", "run", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0
    assert "end returned you and uoy" in ended.stdout


def test_several_runs_are_cancelled_when_confirmed(gate: Gate, finished: str) -> None:
    again = gate.workflow.run_local(max_workers=1).run_id
    for answer, said in (("n", "nothing was cancelled"), ("y", "nothing to cancel")):
        with Terminal("flow.py", "cancel", finished, again) as terminal:
            terminal.wait_for("Cancel these 2 runs?")
            terminal.type_line(answer)
            assert terminal.end() == 0
        assert said in terminal.shown


# -- shell completion -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("flow.py st", {"status"}),
        ("flow.py run --na", {"--name"}),
        ("flow.py run --force-tasks e", {"end"}),
        ("flow.py submit --executor lo", {"local"}),
    ],
)
def test_the_shell_completes_commands_options_and_names(
    gate: Gate, words: str, offered: set[str]
) -> None:
    assert complete(words, "flow.py", name="flow.py") == offered


def test_the_shell_completes_run_ids(gate: Gate, finished: str) -> None:
    assert complete("flow.py status ga", "flow.py", name="flow.py") == {finished}
    assert complete("reflow logs ", *REFLOW, name="reflow") >= {finished}


def test_the_shell_completes_the_options_of_a_flow_file(gate: Gate) -> None:
    assert complete("reflow run flow.py --na", *REFLOW, name="reflow") == {"--name"}


def test_completion_of_a_flow_that_cannot_be_loaded_is_silent(gate: Gate) -> None:
    Path("broken.py").write_text("x = (")
    assert complete("reflow run broken.py --na", *REFLOW, name="reflow") == set()


def test_the_script_for_the_shell_is_shown(gate: Gate) -> None:
    shown = subprocess.run(
        ["bash", "-c", f"{sys.executable} flow.py --show-completion; exit $?"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "complete " in shown.stdout
    assert "_FLOW.PY_COMPLETE=complete_bash" in shown.stdout


# -- programs that read us ------------------------------------------------------------------


def test_json_is_all_there_is_on_standard_output(gate: Gate, finished: str) -> None:
    status = json.loads(run("flow.py", "status", "--json").stdout)
    assert status["run"]["run_id"] == finished
    assert json.loads(run("flow.py", "runs", "--json").stdout)[0]["status"] == "SUCCESS"
    assert json.loads(run("flow.py", "describe").stdout)["name"] == "gate"


@pytest.mark.parametrize("words", [("runs",), ("status", "--json"), ("trace", "latest", "--csv")])
def test_a_full_disk_is_told_in_one_line(gate: Gate, finished: str, words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, *REFLOW, *words], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert ended.returncode == 2
    assert ended.stderr == b"error: the output could not be written: No space left on device\n"
