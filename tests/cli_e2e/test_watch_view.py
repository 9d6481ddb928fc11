"""The view of `status --watch` and `runs --watch`, at a real terminal whose screen is read."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from reflow import Run
from reflow.model.states import RunState
from reflow.stores.url import SqliteUrl, parse_url

from tests.cli_e2e.conftest import Gate
from tests.cli_e2e.terminal import FullScreen, run, until

REFLOW = ("-m", "reflow")
NORMAL_SCREEN, OTHER_SCREEN = "\x1b[?1049l", "\x1b[?1049h"
UP, DOWN, ENTER, ESC = "\x1b[A", "\x1b[B", "\r", "\x1b"


@pytest.fixture
def waiting(gate: Gate) -> Iterator[str]:
    """The id of a run in the background, whose two elements wait until the gate is opened."""
    run_id = run("flow.py", "submit", "--closed").stdout.strip()
    until(gate.is_reached)
    yield run_id
    gate.open()
    opened(gate, run_id).wait(60)


def opened(gate: Gate, run_id: str) -> Run:
    return gate.workflow.open_run(run_id)


def test_the_view_shows_the_run_until_it_has_ended_and_its_end_below(
    gate: Gate, waiting: str
) -> None:
    with FullScreen(*REFLOW, "status", waiting, "--watch") as terminal:
        terminal.wait_until_shown(f"{waiting}  RUNNING", "wait", "0/2", "q quit")
        assert not terminal.shows_keys()
        gate.open()
        assert terminal.end() == 0
        assert terminal.shows_keys()
    assert OTHER_SCREEN in terminal.shown
    after = terminal.shown.partition(NORMAL_SCREEN)[2]
    assert f"{waiting}" in after
    assert "SUCCESS" in after
    assert "2/2" in after


def test_who_quits_is_told_that_the_run_goes_on(gate: Gate, waiting: str) -> None:
    with FullScreen(*REFLOW, "status", waiting, "--watch") as terminal:
        terminal.wait_until_shown("0/2")
        terminal.press("q")
        assert terminal.end() == 130
        assert terminal.shows_keys()
    after = terminal.shown.partition(NORMAL_SCREEN)[2]
    assert "goes on by itself. Look again with:" in after
    assert "0/2" in after
    assert opened(gate, waiting).state is RunState.RUNNING


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_view_and_leaves_the_terminal_as_it_was(
    waiting: str, number: int, code: int
) -> None:
    with FullScreen(*REFLOW, "status", waiting, "--watch") as terminal:
        terminal.wait_until_shown("0/2")
        os.kill(terminal.process.pid, number)
        assert terminal.end() == code
        assert terminal.shows_keys()
    assert NORMAL_SCREEN in terminal.shown
    assert "Traceback" not in terminal.shown


def test_ctrl_z_gives_the_terminal_back_and_fg_comes_back(waiting: str) -> None:
    with FullScreen("--norc", "--noprofile", "-i", program="bash", PS1="$ ") as terminal:
        terminal.wait_until_shown("$")
        terminal.press(f"{sys.executable} -m reflow status {waiting} --watch\n")
        terminal.wait_until_shown("0/2", "q quit")
        terminal.press("\x1a")
        terminal.wait_until_shown("Stopped")
        assert terminal.shows_keys() or NORMAL_SCREEN in terminal.shown
        terminal.press("fg\n")
        terminal.wait_until(lambda screen: "q quit" in screen and "Stopped" not in screen)
        terminal.press("q")
        terminal.wait_until_shown("goes on by itself")
        terminal.press("exit\n")
        terminal.end()


def test_the_view_follows_the_size_of_the_terminal(waiting: str) -> None:
    with FullScreen(*REFLOW, "status", waiting, "--watch") as terminal:
        terminal.wait_until_shown("q quit")
        terminal.resize(40, 10)
        terminal.wait_until(lambda screen: screen.splitlines()[-1].endswith("q quit"))
        assert len(terminal.lines) == 10
        terminal.press("q")
        terminal.end()


def test_the_log_of_an_element_is_followed(gate: Gate, waiting: str) -> None:
    with FullScreen(*REFLOW, "status", waiting, "--watch") as terminal:
        terminal.wait_until_shown("0/2")
        terminal.press(DOWN + DOWN)
        terminal.wait_until_shown("› wait")
        terminal.press(ENTER)
        terminal.wait_until_shown("2 running", "› wait[0]")
        terminal.press(DOWN + ENTER)
        terminal.wait_until_shown("waiting: uoy")
        gate.open()
        terminal.wait_until_shown("wait[1]  SUCCESS")
        terminal.press(ESC + ESC)
        assert terminal.end() == 0


def test_a_run_is_cancelled_when_that_is_confirmed(gate: Gate, waiting: str) -> None:
    with FullScreen(*REFLOW, "status", waiting, "--watch") as terminal:
        terminal.wait_until_shown("0/2")
        terminal.press("c")
        terminal.wait_until_shown(f"Cancel {waiting}", "(y/n)")
        terminal.press("n")
        terminal.wait_until_shown("nothing was cancelled")
        assert opened(gate, waiting).state is RunState.RUNNING
        terminal.press("cy")
        assert terminal.end() == 1
    assert "instances cancelled" in terminal.shown.partition(NORMAL_SCREEN)[2]
    assert opened(gate, waiting).state is RunState.CANCELLED


def test_a_run_is_retried_when_that_is_confirmed(gate: Gate) -> None:
    run_id = run("flow.py", "submit", "--wait", "--fail").stdout.strip()
    with FullScreen(*REFLOW, "runs", "--watch") as terminal:
        terminal.wait_until_shown(f"› {run_id}  FAILED")
        terminal.press("ry")
        terminal.wait_until_shown("1 instance to be run again")
        terminal.press("q")
        assert terminal.end() == 0
    assert opened(gate, run_id).wait(60) is RunState.FAILED
    assert opened(gate, run_id).status(as_dict=True)["failed_instances"][0]["attempt"] == 2


def test_a_run_in_the_foreground_is_not_retried_in_the_background(gate: Gate) -> None:
    run_id = gate.workflow.run_local(max_workers=1, fail=True, on_error="continue").run_id
    with FullScreen(*REFLOW, "runs", "--watch") as terminal:
        terminal.wait_until_shown(f"› {run_id}  FAILED")
        terminal.press("ry")
        terminal.wait_until(lambda screen: f"retry {run_id}" in screen.replace("\n", ""))
        terminal.press("q")
        terminal.end()


def test_a_locked_database_is_told_of_and_holds_no_keys_up(gate: Gate, waiting: str) -> None:
    store = parse_url(gate.workflow.store.url)
    assert isinstance(store, SqliteUrl)
    with FullScreen(*REFLOW, "status", waiting, "--watch") as terminal:
        terminal.wait_until_shown("0/2")
        with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            terminal.wait_until_shown("waits for the database", seconds=120)
            terminal.press("?")
            terminal.wait_until_shown("any key: back")
            terminal.press("q")
            assert terminal.end(20) == 130
            other.execute("ROLLBACK")


def test_dumb_terminals_get_lines(gate: Gate, waiting: str) -> None:
    with FullScreen(*REFLOW, "status", waiting, "--watch", TERM="dumb") as terminal:
        terminal.wait_until_shown("wait  RUNNING")
        gate.open()
        assert terminal.end() == 0
    assert OTHER_SCREEN not in terminal.shown


def test_without_colours_the_view_has_none(waiting: str) -> None:
    with FullScreen(*REFLOW, "status", waiting, "--watch", NO_COLOR="1") as terminal:
        terminal.wait_until_shown("0/2")
        terminal.press("q")
        terminal.end()
    assert "\x1b[36m" not in terminal.shown
    assert "\x1b[32m" not in terminal.shown


def test_all_runs_are_watched_and_each_can_be_opened(gate: Gate, waiting: str) -> None:
    ended = gate.workflow.run_local(max_workers=1).run_id
    with FullScreen(*REFLOW, "runs", "--watch") as terminal:
        terminal.wait_until_shown("2 runs  1 RUNNING  1 SUCCESS", "4/4", waiting)
        terminal.press(DOWN)
        terminal.wait_until_shown(f"› {waiting}")
        terminal.press(UP + ENTER)
        terminal.wait_until_shown(f"{ended}  SUCCESS", "begin", "2/2")
        terminal.press(ESC + DOWN + ENTER)
        terminal.wait_until_shown(f"{waiting}  RUNNING", "0/2")
        gate.open()
        # A run that was opened from the list stays on the screen when it has ended.
        terminal.wait_until_shown(f"{waiting}  SUCCESS")
        terminal.press(ESC)
        terminal.wait_until_shown("2 runs  2 SUCCESS")
        terminal.press("q")
        assert terminal.end() == 0
    assert waiting in terminal.shown.partition(NORMAL_SCREEN)[2]


def test_watching_runs_without_a_terminal_prints_changes_until_none_goes_on(
    gate: Gate, waiting: str
) -> None:
    words = [sys.executable, *REFLOW, "runs", "--watch"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline().rstrip().endswith(f"{waiting}  RUNNING")
        gate.open()
        assert watching.stdout.read().rstrip().endswith(f"{waiting}  SUCCESS")
    assert watching.returncode == 0


@pytest.mark.parametrize("command", ["status", "runs"])
def test_json_is_printed_once_and_not_watched(command: str) -> None:
    refused = run(*REFLOW, command, "--watch", "--json")
    assert refused.returncode == 2
    assert "give one of them" in refused.stderr
