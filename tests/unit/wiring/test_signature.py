"""Reading signatures."""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional

import pytest
from reflow.errors import DefinitionError
from reflow.model.tasks import (
    REQUIRED,
    Namespace,
    ParameterInput,
    ResultInput,
    RunDirInput,
    TaskInput,
)
from reflow.wiring.markers import Param, Result, RunDir
from reflow.wiring.signature import UnresolvedAnnotationError, read_signature

if TYPE_CHECKING:
    from decimal import Decimal


def inputs(function: Callable[..., Any]) -> tuple[TaskInput, ...]:
    return read_signature(function, "t").inputs


def test_a_plain_argument_is_a_run_parameter() -> None:
    def task(day: str, count: int = 3) -> None: ...

    assert inputs(task) == (
        ParameterInput(argument="day", annotation=str),
        ParameterInput(argument="count", annotation=int, default=3),
    )


def test_param_adds_help_a_flag_and_a_namespace() -> None:
    def task(
        day: Annotated[str, Param(help="First day", short="d", namespace="local")],
        other: Annotated[int, Param] = 1,
    ) -> None: ...

    first, second = inputs(task)
    assert first == ParameterInput(
        argument="day",
        annotation=str,
        default=REQUIRED,
        help="First day",
        short="-d",
        namespace=Namespace.LOCAL,
    )
    assert second == ParameterInput(argument="other", annotation=int, default=1)


def test_result_wires_to_steps() -> None:
    def task(
        one: Annotated[str, Result(step="a")],
        more: Annotated[list[int], Result(steps=["a", "b"], broadcast=True)],
    ) -> None: ...

    assert inputs(task) == (
        ResultInput(argument="one", annotation=str, steps=("a",)),
        ResultInput(argument="more", annotation=list[int], steps=("a", "b"), broadcast=True),
    )


def test_every_way_to_ask_for_the_run_directory() -> None:
    def task(  # type: ignore[no-untyped-def]
        marked: RunDir,
        annotated: Annotated[Path, RunDir()],
        bare: Annotated[os.PathLike[str], RunDir],
        both: Annotated[RunDir, "the place"],
        defaulted: Path = RunDir(),  # noqa: B008
        usual: RunDir = RunDir(),  # noqa: B008
        unannotated=RunDir(),  # noqa: B008
    ) -> None: ...

    names = ("marked", "annotated", "bare", "both", "defaulted", "usual", "unannotated")
    assert inputs(task) == tuple(RunDirInput(argument=name) for name in names)


def test_none_as_a_default_makes_a_parameter_optional() -> None:
    def task(day: str = None, other: Optional[int] = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013, UP045

    assert [item.annotation for item in inputs(task)] == [str | None, int | None]  # type: ignore[union-attr]


def test_what_else_is_annotated_says_nothing() -> None:
    def task(
        day: Annotated[str, "ISO"], days: list[Annotated[str, "ISO"]]
    ) -> Annotated[int, "m"]: ...

    signature = read_signature(task, "t")
    assert [item.annotation for item in signature.inputs] == [str, list[str]]  # type: ignore[union-attr]
    assert signature.returns is int


def test_what_a_function_returns() -> None:
    def text() -> str: ...
    def nothing() -> None: ...
    def never() -> NoReturn: ...
    def unsaid(): ...  # type: ignore[no-untyped-def]

    returned = [read_signature(item, "t").returns for item in (text, nothing, never, unsaid)]
    assert returned == [str, None, None, Any]


def test_names_may_come_from_around_the_function() -> None:
    class Local: ...

    def task(thing: Annotated[Local, Result(step="a")]) -> list[Local]: ...

    signature = read_signature(task, "t", {"Local": Local})
    assert signature.returns == list[Local]


def test_a_wrapped_function_is_read_as_the_one_inside() -> None:
    def inner(day: Annotated[str, Param(help="First day")]) -> int: ...

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **kwargs)

    assert read_signature(outer, "t") == read_signature(inner, "t")


def test_an_annotation_that_cannot_be_resolved_is_an_error_naming_it() -> None:
    def missing(amount: list[Missing]) -> None: ...  # type: ignore[name-defined]  # noqa: F821
    def for_checkers(amount: Decimal) -> None: ...
    def returned() -> Missing: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(UnresolvedAnnotationError, match=r"'t', argument 'amount'.*list\[Missing\]"):
        read_signature(missing, "t")
    with pytest.raises(UnresolvedAnnotationError, match=r"'t', argument 'amount'.*Decimal"):
        read_signature(for_checkers, "t")
    with pytest.raises(UnresolvedAnnotationError, match=r"'t', what it returns.*Missing"):
        read_signature(returned, "t")


def unannotated(day): ...  # type: ignore[no-untyped-def]
def stars(*days: str) -> None: ...
def double_stars(**days: str) -> None: ...
def positional_only(day: str, /) -> None: ...
def result_as_default(day: str = Result(step="a")) -> None: ...  # type: ignore[assignment]
def param_as_default(day: str = Param()) -> None: ...  # type: ignore[assignment]
def result_with_default(day: Annotated[str, Result(step="a")] = "x") -> None: ...
def marked_twice(day: Annotated[str, Result(step="a"), Param()]) -> None: ...
def run_dir_and_param(day: Annotated[RunDir, Param()]) -> None: ...
def marker_inside(day: list[Annotated[str, Result(step="a")]]) -> None: ...
def run_dir_inside(day: RunDir | None) -> None: ...
def bare_result(day: Annotated[str, Result]) -> None: ...
def empty_result(day: Annotated[str, Result()]) -> None: ...
def run_dir_as_text(day: Annotated[str, RunDir()]) -> None: ...


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (unannotated, "no annotation.*day: str"),
        (stars, r"\*days"),
        (double_stars, r"\*\*days"),
        (positional_only, "positional-only"),
        (result_as_default, r"Annotated\[<type>, Result\(step='a'"),
        (param_as_default, r"Annotated\[<type>, Param\("),
        (result_with_default, "has a default"),
        (marked_twice, "marked twice"),
        (run_dir_and_param, "marked twice"),
        (marker_inside, "around the whole type"),
        (run_dir_inside, "around the whole type"),
        (bare_result, r"Result\(step='prepare'\)"),
        (empty_result, "either step or steps"),
        (run_dir_as_text, "a Path, which is no str"),
    ],
)
def test_a_signature_that_makes_no_sense_is_an_error_naming_task_and_argument(
    function: Callable[..., Any], said: str
) -> None:
    with pytest.raises(DefinitionError, match=f"task 'my task', argument 'days?'.*{said}"):
        read_signature(function, "my task")


@pytest.mark.parametrize("name", ["force", "executor", "max_workers", "dry_run", "_force"])
def test_a_run_parameter_named_like_an_option_of_reflow_is_an_error(name: str) -> None:
    space: dict[str, Any] = {}
    exec(f"def task({name}: str): ...", space)
    with pytest.raises(DefinitionError, match=f"task 't': parameter '{name}'.*another name"):
        read_signature(space["task"], "t")


def test_a_run_dir_without_its_marker_is_told_how_to_get_it() -> None:
    def task(run_dir: Path) -> None: ...

    with pytest.raises(DefinitionError, match=r"run_dir: RunDir = RunDir\(\)$"):
        read_signature(task, "t")


def test_a_wired_argument_or_the_run_directory_may_have_such_a_name() -> None:
    def task(force: Annotated[str, Result(step="a")], run_dir: RunDir = RunDir()) -> None: ...  # noqa: B008

    assert len(inputs(task)) == 2


def test_what_has_no_signature_is_an_error() -> None:
    with pytest.raises(DefinitionError, match="no signature"):
        read_signature(iter, "t")


def test_what_partial_gives_by_name_or_place_is_no_input() -> None:
    def task(a: int, b: str, c: float = 1.5) -> Path: ...

    given = functools.partial(functools.partial(task, b="x"), 1)
    signature = read_signature(given, "t")
    assert [item.argument for item in signature.inputs] == ["c"]
    assert signature.returns is Path
