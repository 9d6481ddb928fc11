"""Job scripts, run by the shell that they are for."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from reflow.executors.batch.template import ScriptTemplates, shell_code
from reflow_flux.executor import FluxExecutor
from reflow_lsf.executor import LSFExecutor

from tests.e2e.backends.on_a_fake import SLOW_KILL, code_when_warned

GIVEN: dict[str, Any] = {
    "shell": "/bin/bash",
    "label": "a label",
    "umask": "0022",
    "environment": [],
    "setup": shell_code([]),
    "working_directory": Path("/"),
    "command": ("true",),
    "size": None,
    "position": shell_code(['"$TASK"']),
    "directives": [],
    "native_id": None,
}


def packaged(**given: Any) -> str:
    return ScriptTemplates("reflow.executors.batch", None).render("batch.sh.j2", {**GIVEN, **given})


def printed(script: str) -> str:
    done = subprocess.run(["/bin/bash", "-c", script], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogateescape")


words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.lists(words, min_size=1), words)
def test_any_words_reach_the_command_as_they_are(arguments: list[str], value: str) -> None:
    script = packaged(command=("printf", "%s\\n", *arguments, "x"), environment=[("MINE", value)])
    assert printed(script) == "".join(f"{word}\n" for word in [*arguments, "x"])


@given(words)
def test_any_value_of_a_variable_reaches_the_job_as_it_is(value: str) -> None:
    script = packaged(command=("printenv", "MINE"), environment=[("MINE", value)])
    assert printed(script) == f"{value}\n"


def test_any_folder_is_entered(tmp_path: Path) -> None:
    for name in ("-n", "a b", "it's", "$HOME", "new\nline", "`id`", "Ü"):
        folder = tmp_path / name
        folder.mkdir()
        assert printed(packaged(command=("pwd",), working_directory=folder)) == f"{folder}\n"


def test_a_folder_that_is_not_there_ends_the_job(tmp_path: Path) -> None:
    script = packaged(command=("echo", "ran"), working_directory=tmp_path / "gone")
    done = subprocess.run(["/bin/bash", "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"gone" in done.stderr


def test_setup_runs_before_the_work_and_shapes_its_environment() -> None:
    script = packaged(
        setup=shell_code(["echo ready", 'export MINE="$MINE and more"']),
        environment=[("MINE", "given")],
        command=("printenv", "MINE"),
    )
    assert printed(script) == "ready\ngiven and more\n"


def test_a_label_cannot_leave_its_comment() -> None:
    script = packaged(label="two\nlines\r\x1b[2J\u2028é\necho hacked", command=("echo", "fine"))
    assert printed(script) == "fine\n"
    assert "é" in script


def test_an_element_is_given_its_position_as_last_argument() -> None:
    script = packaged(command=("echo", "work"), size=3)
    assert printed(f"TASK=2\n{script}") == "work 2\n"


def test_a_site_changes_one_block_and_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "batch.sh.j2").write_text(
        '{% extends "packaged/batch.sh.j2" %}\n'
        "{% block setup %}\n{{ super() }}\necho {{ note }}\n{% endblock %}\n"
    )
    setup = shell_code(["echo 'a  &&  b'"])
    given = {**GIVEN, "setup": setup, "note": "it's", "command": ("echo", "c")}
    script = ScriptTemplates("reflow.executors.batch", tmp_path).render("batch.sh.j2", given)
    assert printed(script) == "a  &&  b\nit's\nc\n"


def test_work_that_ends_at_once_when_its_time_is_over_keeps_its_exit_code(tmp_path: Path) -> None:
    executor = FluxExecutor(setup=(SLOW_KILL,))

    assert code_when_warned(executor, tmp_path, "exit 5", signal.SIGALRM) == 5


def test_work_that_ends_well_as_soon_as_it_is_warned_has_ended_well(tmp_path: Path) -> None:
    executor = LSFExecutor(setup=(SLOW_KILL,))

    assert code_when_warned(executor, tmp_path, "exit 0", signal.SIGUSR2) == 0
