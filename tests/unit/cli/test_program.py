from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from reflow.cli.program import execute, new_app, typed_command
from reflow.errors import ConfigError, ReflowWarning, StoreError


def app_that(does: Callable[[], None]) -> Callable[[], typer.Typer]:
    def build() -> typer.Typer:
        app = new_app("A test.")
        app.command("act")(does)
        app.command("other")(lambda: None)
        return app

    return build


def run(does: Callable[[], None], *words: str) -> int:
    return execute(app_that(does), words or ("act",), name="test", obj=None)


def test_a_mistake_is_one_line_and_exit_code_two(capsys: pytest.CaptureFixture[str]) -> None:
    def act() -> None:
        raise ConfigError("config.toml, line 3: this is not TOML")

    assert run(act) == 2
    assert capsys.readouterr().err == "error: config.toml, line 3: this is not TOML\n"


@pytest.mark.parametrize("lasting", [False, True])
def test_a_database_that_is_away_needs_nobody_to_start_runs_again(
    capsys: pytest.CaptureFixture[str], lasting: bool
) -> None:
    def act() -> None:
        raise StoreError("The manifest m.db could not be used", lasting=lasting)

    assert run(act) == 2
    assert ("continue by themselves" in capsys.readouterr().err) is not lasting


def test_a_wrong_value_of_an_option_is_told_without_the_parsers_own_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def act() -> None:
        raise typer.BadParameter("Value error, 'x' is not one of 'a', 'b'")

    assert run(act) == 2
    told = capsys.readouterr().err
    assert "'x' is not one of 'a', 'b'" in told
    assert "Value error" not in told


def test_a_working_directory_that_was_removed_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def act() -> None:
        Path("runs").absolute()

    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run(act) == 2
    assert "change to a folder that exists" in capsys.readouterr().err


def test_a_file_that_is_missing_is_no_mistake_of_the_command_line() -> None:
    def act() -> None:
        Path("nowhere").read_text()

    with pytest.raises(FileNotFoundError):
        run(act)


def test_a_mistake_made_before_the_commands_exist_is_told_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def build() -> typer.Typer:
        raise ConfigError("broken")

    assert execute(build, ["act"], name="test", obj=None) == 2
    assert capsys.readouterr().err == "error: broken\n"


def test_what_a_command_exits_with_is_the_exit_code() -> None:
    def act() -> None:
        raise typer.Exit(7)

    assert run(act) == 7


def test_an_interruption_nobody_looked_after_is_130() -> None:
    def act() -> None:
        raise KeyboardInterrupt

    assert run(act) == 130


def test_without_words_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(app_that(lambda: None), [], name="test", obj=None) == 0
    assert "Usage: test" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"), [(("atc",), "'act'"), (("act", "--nope"), "--nope"), (("act", "x"), "x")]
)
def test_wrong_words_say_where_help_is(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert run(lambda: None, *words) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "See 'test" in printed
    assert len(printed.splitlines()) == 1


def test_our_warnings_are_one_line_each_and_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    def act() -> None:
        for _ in range(2):
            warnings.warn("the key 'stor' is ignored", ReflowWarning, stacklevel=1)
            logging.getLogger("reflow.dispatch").warning("could not cancel %d jobs", 3)

    assert run(act) == 0
    assert capsys.readouterr().err == (
        "warning: the key 'stor' is ignored\nwarning: could not cancel 3 jobs\n"
    )


def test_warnings_of_others_are_left_as_they_are() -> None:
    def act() -> None:
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    with pytest.warns(DeprecationWarning, match="old"):
        run(act)


def test_a_mistake_while_the_shell_completes_prints_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build() -> typer.Typer:
        raise ConfigError("broken")

    monkeypatch.setenv("_TEST_COMPLETE", "complete_bash")
    execute(build, [], name="test", obj=None)
    assert capsys.readouterr() == ("", "")


def script(path: Path, *, executable: bool) -> Path:
    path.write_text("#!/usr/bin/env python3\n")
    path.chmod(0o755 if executable else 0o644)
    return path


@pytest.fixture
def as_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.orig_argv", ["python3", "flow.py"])


@pytest.mark.usefixtures("as_script")
def test_a_script_is_typed_with_its_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "my flow.py", executable=False)
    monkeypatch.setattr("sys.argv", ["my flow.py"])
    assert typed_command() == "python3 'my flow.py'"


@pytest.mark.usefixtures("as_script")
def test_an_executable_script_is_typed_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script(tmp_path / "flow.py", executable=True)
    monkeypatch.setattr("sys.argv", ["./flow.py"])
    assert typed_command() == "./flow.py"
    monkeypatch.setattr("sys.argv", [str(path)])
    assert typed_command() == str(path)


@pytest.mark.usefixtures("as_script")
def test_a_program_on_the_path_is_typed_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script(tmp_path / "reflow", executable=True)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("sys.argv", [str(path)])
    assert typed_command() == "reflow"
