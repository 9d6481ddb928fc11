"""A folder of its own for each attempt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.support import FlowFile

Flows = Callable[..., FlowFile]

FLOW = """
    from reflow import scratch_dir

    wf = Workflow("scratching")

    @wf.job()
    def items() -> list[int]:
        return [0, 1]

    @wf.job(array=True, retries=1)
    def work(item: Annotated[int, Result(step="items")]) -> str:
        folder = scratch_dir()
        assert not list(folder.iterdir()), "somebody was here before"
        (folder / "half-written").write_text("x")
        if not Path("{here}/tried").exists():
            Path("{here}/tried").touch()
            raise OSError("the first attempt fails")
        return folder.name
"""


@pytest.mark.parametrize("way", ["inline", "pool"])
def test_every_attempt_of_every_element_has_an_empty_folder(
    flow_file: Flows, tmp_path: Path, way: str
) -> None:
    run = flow_file(FLOW).run(way, run_dir=tmp_path / "run")
    names = run.result("work")
    assert len(set(names)) == 2
    folders = {path.name for path in (tmp_path / "run" / ".reflow").glob("*/scratch/work/*")}
    assert folders > set(names), "the failed attempt's folder is kept beside those that succeeded"


def test_outside_of_a_run_it_is_a_temporary_folder() -> None:
    from reflow import scratch_dir

    first, second = scratch_dir(), scratch_dir()
    assert first != second
    assert first.is_dir()
