from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

import pytest
from reflow.errors import SchedulerUnavailableError
from reflow.executors.batch.command import (
    Command,
    CommandMissingError,
    CommandRunner,
    CommandTimeoutError,
    Variables,
)

from tests.e2e.support import until


def shell(line: str, *words: str, stdin: str = "") -> Command:
    return Command(("/bin/sh", "-c", line, *words), stdin)


def test_an_answer_has_everything_that_was_said() -> None:
    result = CommandRunner().run(shell('cat; echo "$1" >&2; exit 3', "sh", "it's wrong", stdin="ä"))

    assert (result.exit_code, result.stdout, result.stderr) == (3, "ä", "it's wrong\n")
    assert result.message == "it's wrong"


def test_a_silent_failure_still_says_something() -> None:
    assert "exit code 4" in CommandRunner().run(shell("exit 4")).message


def test_a_command_runs_where_it_is_to_and_elsewhere_if_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o700)
    there, *elsewhere = (
        Command(("pwd",), directory=tmp_path / name) for name in (".", "gone", "file", 5000 * "x")
    )

    assert CommandRunner().run(there).stdout == f"{tmp_path}\n"
    assert [CommandRunner().run(command).stdout for command in elsewhere] == ["/\n"] * 3


def test_a_command_is_told_its_folder_as_by_a_shell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PWD", raising=False)
    command = Command(("printenv", "PWD"), directory=tmp_path)

    assert CommandRunner().run(command).stdout == f"{tmp_path}\n"


def test_bytes_that_are_no_text_do_not_stop_the_reading() -> None:
    assert CommandRunner().run(shell("printf 'a\\377b'")).stdout == "a\ufffdb"


def test_variables_that_act_as_options_are_kept_from_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POND_DEPTH", "3")
    monkeypatch.setenv("POND_CONF", "/etc/pond")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    variables = Variables(dropped=("POND_",), kept=("POND_CONF",), added={"POND_FORMAT": "long"})

    result = CommandRunner(variables=variables).run(
        shell('echo "[$POND_DEPTH][$POND_CONF][$LC_ALL][$POND_FORMAT][$HOME]"')
    )

    assert result.stdout.strip() == f"[][/etc/pond][C][long][{os.environ['HOME']}]"


def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    runner = CommandRunner(timeout=1.5)
    started = time.monotonic()

    with pytest.raises(CommandTimeoutError) as caught:
        runner.run(shell(f"echo waiting >&2; sleep 60 & echo $! > {tmp_path}/pid; wait"))

    assert time.monotonic() - started < 20
    assert caught.value.message == "waiting\n"
    child = int((tmp_path / "pid").read_text())
    until(lambda: not _runs(child))


def test_once_a_command_has_hung_no_other_is_run(tmp_path: Path) -> None:
    runner = CommandRunner(timeout=0.5)
    with pytest.raises(CommandTimeoutError):
        runner.run(Command(("/bin/sleep", "60")))

    with pytest.raises(SchedulerUnavailableError, match="sleep did not answer") as told:
        runner.run(shell(f"touch {tmp_path}/begun"))

    # A submission that was not tried is not an uncertain one.
    assert not isinstance(told.value, CommandTimeoutError)
    assert not (tmp_path / "begun").exists()


def test_what_hangs_beside_commands_that_answer_is_left_out_alone(tmp_path: Path) -> None:
    runner = CommandRunner(timeout=0.5)
    runner.run(shell("exit 1"))
    for error in (CommandTimeoutError, SchedulerUnavailableError):
        with pytest.raises(error):
            runner.run(Command(("/bin/sleep", "60")))

    assert runner.run(shell("echo there")).stdout == "there\n"


def _runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_a_command_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(CommandMissingError, match="settings of the executor"):
        CommandRunner().run(Command(("/nowhere/pondsub",)))


def test_a_command_that_cannot_be_started_is_not_taken_for_one_that_is_not_there() -> None:
    with pytest.raises(SchedulerUnavailableError, match="could not be started") as raised:
        CommandRunner().run(Command(("/bin/true", "x" * 1_000_000)))
    assert not isinstance(raised.value, CommandMissingError)


def test_a_record_that_cannot_be_written_takes_nothing_from_the_answer(tmp_path: Path) -> None:
    runner = CommandRunner(record=tmp_path / "gone" / "commands.jsonl")
    assert runner.run(shell("echo 24")).stdout == "24\n"


def test_every_command_is_counted_whichever_way_it_ended(tmp_path: Path) -> None:
    record = tmp_path / "commands.jsonl"
    runner = CommandRunner(record=record)

    runner.run(shell("true"))
    runner.run(shell("exit 2"))
    with pytest.raises(CommandTimeoutError):
        CommandRunner(timeout=0.2, record=record).run(shell("exec sleep 60"))

    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [line["exit_code"] for line in lines] == [0, 2, None]
    assert lines[0]["argv"] == ["/bin/sh", "-c", "true"]


def test_every_command_is_logged_with_its_end_and_time(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "reflow"):
        CommandRunner().run(shell("exit 2"))

    (message,) = caplog.messages
    assert message.startswith("/bin/sh -c 'exit 2' -> 2 in ")
