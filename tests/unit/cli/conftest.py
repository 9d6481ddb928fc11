from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import pytest
from reflow import Param, Result, Workflow
from reflow.cli import flow as flow_cli
from reflow.cli import main as console


@dataclass(frozen=True)
class Said:
    """What a command line has printed, and its exit code."""

    code: int
    out: str
    err: str


CommandLine = Callable[..., Said]


@pytest.fixture(autouse=True)
def settled_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No scheduler of this machine is chosen, and the script has a name."""
    monkeypatch.setenv("REFLOW_EXECUTOR", "local")
    monkeypatch.setattr("sys.argv", ["flow.py"])
    # Run by `python -m pytest`, this process would be typed so.
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)


@pytest.fixture
def reflow(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Type `reflow WORDS`."""

    def type_words(*words: str) -> Said:
        with pytest.raises(SystemExit) as ended:
            console.main(words)
        printed = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, printed.out, printed.err)

    return type_words


@pytest.fixture
def flow(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Type `python flow.py WORDS`, the first argument being the workflow in the file."""

    def type_words(workflow: Workflow, *words: str) -> Said:
        try:
            flow_cli.main(workflow, words)
        except SystemExit as ended:
            code = int(str(ended.code))
        else:
            code = 0
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return type_words


@pytest.fixture
def squares() -> Workflow:
    """Four numbers, their squares, the sum; the one that is `bad` fails."""
    wf = Workflow("squares")

    @wf.job()
    def numbers(count: Annotated[int, Param(help="How many", short="-c")] = 4) -> list[int]:
        return list(range(count))

    @wf.job(array=True)
    def square(number: Annotated[int, Result(step="numbers")], bad: int = -1) -> int:
        if number == bad:
            raise ValueError(f"{number} is bad")
        return number * number

    @wf.job()
    def total(squares: Annotated[list[int], Result(step="square")]) -> dict[str, int]:
        return {"sum": sum(squares), "largest": max(squares, default=0)}

    return wf
