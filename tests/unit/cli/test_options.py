from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from reflow.cli.options import OPTIONS_PANEL, HelpOption, with_parameters
from reflow.cli.program import execute
from reflow.errors import DefinitionError
from reflow.flow import Flow
from reflow.model.graph import RunParameter
from reflow.wiring.graph import build_graph
from reflow.wiring.markers import Param
from typer.testing import CliRunner


class Speed(Enum):
    fast = 1
    slow = 2


def parameters_of(*functions: Callable[..., Any]) -> dict[str, RunParameter]:
    """The run parameters of a workflow with these tasks."""
    flow = Flow("demo")
    for function in functions:
        flow.job(function)
    return dict(build_graph("demo", flow.specs(), ()).parameters)


def everything(
    start: Annotated[str, Param(help="First [day] of \\ all", short="-s")],
    days: int = 3,
    loud: bool = False,
    maybe: bool | None = None,
    names: list[str] = ["a", "b"],  # noqa: B006
    levels: list[int] = [],  # noqa: B006
    speed: Speed = Speed.fast,
    unit: Literal["C", "F"] = "C",
    where: Path | None = None,
    chosen: list[Literal["x", "y"]] = [],  # noqa: B006
    per_day: Annotated[float, Param(namespace="local")] = 0.5,
    run_: str = "",
) -> None: ...


Own = Annotated[bool, typer.Option("--own", rich_help_panel=OPTIONS_PANEL)]


class Called:
    """A command line with one command, which remembers what it was called with."""

    def __init__(self, *functions: Callable[..., Any]) -> None:
        self.given: dict[str, Any] | None = None
        self.own: bool | None = None

        def run(*, parameters: dict[str, Any], own: Own = False, help: HelpOption = False) -> None:
            self.given, self.own = parameters, own

        self.app = typer.Typer()
        command = with_parameters(run, parameters_of(*functions))
        self.app.command("run", add_help_option=False)(command)
        self.app.command("other")(lambda: None)

    def __call__(self, *words: str) -> int:
        return execute(lambda: self.app, ["run", *words], name="flow.py", obj=None)


@pytest.fixture
def called() -> Called:
    return Called(everything)


def test_only_what_was_given_is_passed_on(called: Called) -> None:
    assert called("--start", "now") == 0
    assert called.given == {"start": "now"}
    assert called.own is False


def test_every_type_is_parsed(called: Called) -> None:
    words = (
        "-s now --days 4 --loud --no-maybe --names x --names y --levels 1 --levels 2 "
        "--speed slow --unit F --where a/b --chosen y --everything-per-day 2 --run r --own"
    )
    assert called(*words.split()) == 0
    assert called.given == {
        "start": "now",
        "days": 4,
        "loud": True,
        "maybe": False,
        "names": ["x", "y"],
        "levels": [1, 2],
        "speed": Speed.slow,
        "unit": "F",
        "where": Path("a/b"),
        "chosen": ["y"],
        "everything_per_day": 2.0,
        "run_": "r",
    }
    assert called.own is True


def test_a_value_that_cannot_be_used_is_a_mistake_that_names_the_flag(
    called: Called, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("-s", "now", "--days", "4x") == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: --days: '4x'")
    assert len(printed.err.splitlines()) == 1


def test_a_missing_parameter_is_named_with_its_flag(
    called: Called, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called() == 2
    printed = capsys.readouterr().err
    assert "--start" in printed
    assert "See 'flow.py run --help'" in printed


def test_a_misspelt_flag_gets_a_suggestion(
    called: Called, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("-s", "now", "--dayz", "4") == 2
    assert "--days" in capsys.readouterr().err


def test_negative_numbers_and_texts_with_dashes_are_values(called: Called) -> None:
    assert called("--start=-x", "--days", "-4") == 0
    assert called.given == {"start": "-x", "days": -4}


def lists(
    needed: list[int],
    some: list[int] = [1],  # noqa: B006
    empty: list[int] = [],  # noqa: B006
    word: str | None = "x",
    unset: str | None = None,
    optional: list[str] | None = None,
) -> None: ...


def test_an_empty_list_and_none_can_be_given() -> None:
    called = Called(lists)
    assert called("--no-needed", "--no-some", "--no-word", "--no-optional") == 0
    assert called.given == {"needed": [], "some": [], "word": None, "optional": []}


def test_a_flag_for_nothing_is_there_only_where_nothing_else_says_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    called = Called(lists)
    assert called("--help") == 0
    shown = capsys.readouterr().out
    assert "--no-word" in shown
    assert "--no-empty" not in shown
    assert "--no-unset" not in shown
    assert "[required]" in row_of(shown, "--needed")


def test_a_list_that_must_be_given_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    assert Called(lists)("--some", "1") == 2
    assert "'--needed'" in capsys.readouterr().err


def test_a_value_and_nothing_together_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert Called(lists)("--needed", "1", "--no-needed") == 2
    assert "give --needed or --no-needed, not both" in capsys.readouterr().err


def test_words_after_a_list_say_how_a_list_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert Called(lists)("--needed", "1", "2", "3") == 2
    assert "a list is given as --needed A --needed B" in capsys.readouterr().err


def test_two_parameters_that_would_share_a_flag_for_nothing_are_refused() -> None:
    def task(items: list[int], no_items: str = "") -> None: ...

    with pytest.raises(DefinitionError, match="--no-items"):
        parameters_of(task)


@pytest.fixture
def help_text(
    called: Called, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.setenv("COLUMNS", "120")
    assert called("--help") == 0
    return capsys.readouterr().out


def row_of(text: str, flag: str) -> str:
    return next(line for line in text.splitlines() if f" {flag} " in line)


def test_help_has_a_panel_for_the_workflow_and_one_for_reflow(help_text: str) -> None:
    panels = [line for line in help_text.splitlines() if line.startswith("╭")]
    assert [panel.strip("╭─╮ ") for panel in panels] == ["Workflow parameters", "Options of reflow"]


def test_help_shows_type_default_and_help_text_as_written(help_text: str) -> None:
    assert "First [day] of \\ all" in row_of(help_text, "--start")
    assert "[required]" in row_of(help_text, "--start")
    assert "-s" in row_of(help_text, "--start").split()
    assert "int" in row_of(help_text, "--days")
    assert "[default: 3]" in row_of(help_text, "--days")
    assert "[default: a, b]" in row_of(help_text, "--names")
    assert "fast|slow" in row_of(help_text, "--speed")
    assert "C|F" in row_of(help_text, "--unit")
    assert "--no-loud" in row_of(help_text, "--loud")


def test_both_long_and_short_help_work(called: Called, capsys: pytest.CaptureFixture[str]) -> None:
    assert called("-h") == 0
    short = capsys.readouterr().out
    assert called("--help") == 0
    assert capsys.readouterr().out == short
    assert called.given is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("flow.py run --unit ", {"C", "F"}),
        ("flow.py run --speed s", {"slow"}),
        ("flow.py run --da", {"--days"}),
        ("flow.py ru", {"run"}),
    ],
)
def test_the_shell_completes_flags_and_choices(
    called: Called, words: str, expected: set[str]
) -> None:
    parts = words.split(" ")
    result = CliRunner().invoke(
        called.app,
        prog_name="flow.py",
        env={
            "_FLOW.PY_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(parts) - 1),
        },
    )
    assert set(result.output.split()) == expected


def test_a_parameter_may_be_called_like_anything_python_allows() -> None:
    def task(parameters: str, class_: int, ctx: str, kwargs: str, own_: bool = False) -> None: ...

    called = Called(task)
    assert called(*["--parameters", "p", "--class", "3", "--ctx", "c", "--kwargs", "k"]) == 0
    assert called.given == {"parameters": "p", "class_": 3, "ctx": "c", "kwargs": "k"}
