from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import ConfigError
from reflow.executors.batch.template import ScriptTemplates, comment


def rendered(folder: Path, text: str, **given: Any) -> str:
    (folder / "site.j2").write_text(text)
    return ScriptTemplates("reflow.executors.batch", folder).render("site.j2", given)


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
