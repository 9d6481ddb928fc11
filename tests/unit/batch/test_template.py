from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.batch.template import ScriptTemplates, comment, shell_code
from reflow.errors import ConfigError

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
}


def rendered(folder: Path, text: str, **given: Any) -> str:
    (folder / "site.j2").write_text(text)
    return ScriptTemplates("reflow.batch", folder).render("site.j2", given)


def packaged(**given: Any) -> str:
    return ScriptTemplates("reflow.batch", None).render("batch.sh.j2", {**GIVEN, **given})


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


def test_text_is_quoted_and_a_list_becomes_words(tmp_path: Path) -> None:
    text = "{{ one }} {{ many }} {{ number }}"
    assert (
        rendered(tmp_path, text, one="it's", many=["a b", "c"], number=3)
        == f"{shlex.quote(chr(39).join(['it', 's']))} 'a b' c 3"
    )


def test_constants_in_a_template_are_quoted_too(tmp_path: Path) -> None:
    assert rendered(tmp_path, '{{ "it\'s <&>" }}') == shlex.quote("it's <&>")


def test_shell_code_stays_as_it_is_where_the_template_says_so(tmp_path: Path) -> None:
    assert rendered(tmp_path, "{{ line | safe }}", line="a && b > 'c'") == "a && b > 'c'"


def test_a_site_changes_one_block_and_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "batch.sh.j2").write_text(
        '{% extends "packaged/batch.sh.j2" %}\n'
        "{% block setup %}\n{{ super() }}\necho {{ note }}\n{% endblock %}\n"
    )
    setup = shell_code(["echo 'a  &&  b'"])
    given = {**GIVEN, "setup": setup, "note": "it's", "command": ("echo", "c")}
    script = ScriptTemplates("reflow.batch", tmp_path).render("batch.sh.j2", given)
    assert printed(script) == "a  &&  b\nit's\nc\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ nowhere }}", "nowhere"),
        ("{% if %}", "line 1"),
        ('{% extends "gone.j2" %}', "gone.j2"),
        ("{{ nothing }}", "None"),
        ("{{ flag }}", "True"),
    ],
)
def test_a_wrong_template_is_a_configuration_error(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"job template .* cannot be rendered") as caught:
        rendered(tmp_path, text, nothing=None, flag=True)
    assert said in str(caught.value)


def test_a_comment_keeps_printable_text() -> None:
    assert comment("Übung & 'more'") == "Übung & 'more'"
