from __future__ import annotations

from pathlib import Path

import pytest
from reflow import Workflow
from reflow.cli.named_flow import load_workflow

FLOW = '''
import time
from pathlib import Path
from typing import Annotated

from reflow import Param, Result, Workflow

wf = Workflow("gate")


@wf.job()
def begin(name: Annotated[str, Param(help="Of whom")] = "you") -> list[str]:
    return [name, name[::-1]]


@wf.job(array=True)
def wait(item: Annotated[str, Result(step="begin")], closed: bool = False) -> str:
    """Print, and wait while the gate is closed."""
    print("waiting:", item, flush=True)
    Path("{here}/waiting").touch()
    while closed and not Path("{here}/open").exists():
        time.sleep(0.02)
    return item


@wf.job()
def end(items: Annotated[list[str], Result(step="wait")], fail: bool = False) -> str:
    if fail:
        raise ValueError("as was asked")
    return " and ".join(items)


if __name__ == "__main__":
    wf.cli()
'''


class Gate:
    """A workflow whose elements wait until the gate is opened."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "flow.py"
        self.path.write_text(FLOW.replace("{here}", str(folder)))
        self._folder = folder

    def open(self) -> None:
        """Let the elements go on."""
        (self._folder / "open").touch()

    def is_reached(self) -> bool:
        """Whether an element waits."""
        return (self._folder / "waiting").exists()

    @property
    def workflow(self) -> Workflow:
        """The workflow in the file."""
        workflow = load_workflow(self.path)
        assert isinstance(workflow, Workflow)
        return workflow


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """The flow `flow.py` in the working directory, and no scheduler of this machine."""
    monkeypatch.setenv("REFLOW_EXECUTOR", "local")
    return Gate(tmp_path)
