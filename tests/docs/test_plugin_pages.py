"""The pages for authors of plugins, held against the code they are about."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
from datetime import timedelta
from enum import Enum
from importlib import resources
from pathlib import Path

import pytest
from reflow import plugin_api
from reflow.plugins import hookspecs
from reflow.testing.fakes import FakeScheduler
from reflow.testing.fakes.emulator import Emulator
from reflow.testing.fakes.model import Phase, Wait, Why
from reflow_example.executor import HarbourExecutor

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


@pytest.mark.parametrize(
    "source",
    [*sorted(PLUGIN_PAGES.glob("*.md")), Path(str(hookspecs.__file__))],
    ids=lambda p: p.name,
)
def test_every_version_that_is_written_as_a_number_is_that_of_the_interface(source: Path) -> None:
    numbers = re.findall(r"api_version ?= ?(\d+)", source.read_text())
    assert set(numbers) <= {str(plugin_api.API_VERSION)}


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


def test_the_executor_of_the_tutorial_is_short() -> None:
    example = Path(inspect.getfile(HarbourExecutor))
    files = [example, *example.parent.glob("templates/*")]
    assert sum(len(file.read_text().splitlines()) for file in files) < 150


# -- the reference of executors -----------------------------------------------------------------
def rows(page: str, title: str) -> list[str]:
    """Every word in code in the first column of the table below a heading, in order."""
    text = (PLUGIN_PAGES / page).read_text()
    part = re.split(rf"^{title}$", text, flags=re.MULTILINE)[1]
    table = re.search(r"^\|.*\n\|---.*\n((?:\|.*\n)+)", part, re.MULTILINE)
    assert table
    return [
        word for row in table[1].splitlines() for word in re.findall(r"`(\w+)", row.split("|")[1])
    ]


def test_the_table_of_capabilities_has_all_of_them() -> None:
    declared = [field.name for field in dataclasses.fields(plugin_api.Capabilities)]
    assert sorted(rows("executor-reference.md", "## Capabilities")) == sorted(declared)


def test_the_table_of_capabilities_has_their_defaults() -> None:
    text = (PLUGIN_PAGES / "executor-reference.md").read_text()
    shown = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE))
    declared = {
        field.name: "none" if field.default == () else str(field.default)
        for field in dataclasses.fields(plugin_api.Capabilities)
    }
    assert {name: shown[name] for name in declared} == declared


@pytest.mark.parametrize(
    "title",
    [
        "`transient`",
        "What a native id may look like",
        "Elements that are jobs of their own",
        "`JobStatus.impossible`",
    ],
)
def test_the_reference_answers_what_authors_ask(title: str) -> None:
    text = (PLUGIN_PAGES / "executor-reference.md").read_text()
    [section] = re.findall(rf"^### {title}\n\n(.+?)(?=^##)", text, re.M | re.S)
    assert len(section.split()) > 50


def test_the_table_of_class_variables_has_all_of_them_in_order() -> None:
    declared = [
        name
        for name, kind in plugin_api.BatchExecutor.__annotations__.items()
        if kind.startswith("ClassVar")
    ]
    assert rows("executor-reference.md", "## Class variables") == declared


def test_the_table_of_blocks_is_that_of_the_template() -> None:
    template = resources.files("reflow.executors.batch") / "templates" / "batch.sh.j2"
    blocks_of_template = re.findall(r"{% block (\w+) %}", template.read_text())
    assert rows("executor-reference.md", "## The script") == blocks_of_template


def test_the_script_that_is_shown_is_what_the_example_makes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reflow.executors.batch.base.current_umask", lambda: "0022")
    request = plugin_api.JobRequest(
        token="tide-square-1-3f9a20",
        label="tide: square",
        command=("/opt/env/bin/python", "-m", "worker"),
        directory=Path("/data/run/.reflow/tide/1"),
        working_directory=Path("/home/ada/tide"),
        size=9,
        throttle=4,
        resources=plugin_api.Resources(
            cpus=2,
            mem=4 * 2**30,
            time=timedelta(hours=1),
            queue="north",
            options={"harbour": {"tide": "high"}},
        ),
        environment={"OMP_NUM_THREADS": "2"},
    )
    page = PLUGIN_PAGES / "executor-reference.md"
    [shown] = [block for block in blocks(page) if block.comment("rendered by") is not None]
    assert HarbourExecutor(setup=("module load python",)).script(request).strip() == (
        shown.text.strip()
    )


# -- the page on fakes --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "title"),
    [
        (Phase, "The `phase` of a task says how far it has come:"),
        (Why, "`why` says why a run ended, or why a task is over without a run:"),
        (Wait, "The `reason` of a task, or of its job, says why the task does not start: .*"),
    ],
)
def test_the_page_on_fakes_has_every_word_of_the_engine(words: type[Enum], title: str) -> None:
    assert rows("fake-scheduler.md", f"(?:{title})") == list(words.__members__)


def test_the_page_on_fakes_has_all_that_an_emulator_must_have() -> None:
    text = (PLUGIN_PAGES / "fake-scheduler.md").read_text()
    required = re.findall(r"^\| `(\w+).*?` \| yes", text, re.MULTILINE)
    assert sorted(required) == sorted(Emulator.__abstractmethods__)


def test_the_page_on_fakes_has_all_that_an_emulator_may_override_or_call() -> None:
    text = (PLUGIN_PAGES / "fake-scheduler.md").read_text()
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", text))))
    members = {name for name in dir(Emulator) if not name.startswith("_")}
    assert members - named == set()


def test_the_page_on_fakes_has_every_control() -> None:
    text = (PLUGIN_PAGES / "fake-scheduler.md").read_text()
    own = {"start", "close", "bin", "environment", "activate", "deactivate", "do"}
    rare = {"job", "forget_calls", "skip_numbers", "unpause", "clear_faults"}
    controls = {name for name in vars(FakeScheduler) if not name.startswith("_")} - own - rare
    assert {name for name in controls if f"`{name}`" not in text} == set()
