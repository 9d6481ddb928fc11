"""The pages for authors of plugins, held against the code they are about."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import subprocess
import sys

import pytest
from reflow import plugin_api
from reflow.plugins import hookspecs

from scripts import support_table
from tests.docs.pages import REPOSITORY, blocks

PLUGIN_PAGES = REPOSITORY / "docs" / "plugins"
HOOKS = {
    name: function
    for name, function in vars(hookspecs).items()
    if inspect.isfunction(function) and name.startswith("reflow_")
}
RECORDS = [
    hookspecs.ExecutorPlugin,
    hookspecs.StorePlugin,
    hookspecs.HealthCheck,
    hookspecs.Finding,
    hookspecs.RunEvent,
    hookspecs.InstanceEvent,
]


def sections() -> dict[str, str]:
    """The sections of the reference of hooks, by what their heading says in code."""
    parts = re.split(r"^## `(.+)`$", (PLUGIN_PAGES / "hooks.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_reference_has_each_hook_with_its_parameters_and_no_other() -> None:
    expected = [
        f"{name}({', '.join(inspect.signature(function).parameters)})"
        for name, function in HOOKS.items()
    ]
    assert list(sections()) == expected


@pytest.mark.parametrize("name", HOOKS)
def test_the_reference_has_an_example_of_each_hook(name: str) -> None:
    [section] = [text for title, text in sections().items() if title.startswith(f"{name}(")]
    assert f"@hookimpl\ndef {name}(" in section


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record.__name__))
def test_the_reference_has_each_field_of_what_hooks_give_and_are_given(record: type) -> None:
    [section, *_] = [text for text in sections().values() if f"`{record.__name__}`" in text]
    missing = [
        field.name for field in dataclasses.fields(record) if f"`{field.name}`" not in section
    ]
    assert missing == []


def test_every_record_of_the_hooks_is_among_them() -> None:
    defined = [
        value
        for value in vars(hookspecs).values()
        if dataclasses.is_dataclass(value) and value.__module__ == hookspecs.__name__
    ]
    assert set(defined) == set(RECORDS)


def test_the_reference_tells_the_version_of_the_interface() -> None:
    text = (PLUGIN_PAGES / "hooks.md").read_text()
    assert f"This is version {plugin_api.API_VERSION} of the interface" in text
    assert f"api_version = {plugin_api.API_VERSION}`" in text


def test_the_table_of_what_each_scheduler_supports_is_that_of_the_code() -> None:
    # Elsewhere, since plugins that another test has loaded might be in the way here.
    code = "from scripts.support_table import page; print(page(), end='')"
    made = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert support_table.PAGE.read_text() == made.stdout, "run scripts/support_table.py"


@pytest.mark.parametrize("page", ["write-an-executor", "write-a-store", "write-a-type-rule"])
def test_what_a_tutorial_shows_is_whole(page: str) -> None:
    shown = [block for block in blocks(PLUGIN_PAGES / f"{page}.md") if block.comment("from:")]
    assert len(shown) > 5
    for block in shown:
        if block.language == "python":
            ast.parse(block.text)
        assert block.text.strip(), f"{page}.md:{block.line}"


def test_the_tutorials_show_no_code_of_their_own() -> None:
    own = [
        f"{page.name}:{block.line}"
        for page in PLUGIN_PAGES.glob("write-*.md")
        for block in blocks(page)
        if not block.comment("from:")
    ]
    assert own == []
