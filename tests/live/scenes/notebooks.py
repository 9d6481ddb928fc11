"""Flows of notebooks on a real scheduler. What is the same on each; modules of tests import it."""

from __future__ import annotations

from reflow.model.states import RunState

from tests.e2e.kernel import open_notebook
from tests.live.people import LiveRun, Person

CELLS = (
    """
    import socket
    from dataclasses import dataclass
    from pathlib import Path
    from typing import Annotated
    from reflow import Result, Workflow
    import shapes
    wf = Workflow("explore")
    here = Path.cwd()
    """,
    """
    @dataclass
    class Shape:
        letters: str
        host: str

    def drawn(x):
        if x == 2 and not (here / "mended").exists():
            raise OSError("not mended")
        return Shape(shapes.row(x), socket.gethostname())
    """,
    """
    %%time
    @wf.job
    def items() -> list[int]:
        return [1, 2, 3]

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step=items)]) -> Shape:
        return drawn(x)
    """,
    """
    @wf.job
    def joined(all: Annotated[list[Shape], Result(step="each")]) -> str:
        return " ".join(each.letters for each in all)
    """,
)


def test_a_flow_of_cells_goes_on_without_its_notebook(newcomer: Person) -> None:
    (newcomer.folder / "shapes.py").write_text("def row(x): return 'o' * x\n")
    with open_notebook(newcomer.folder, "explore.ipynb", newcomer.environment) as notebook:
        for cell in CELLS:
            notebook.run(cell)
        executor = newcomer.cluster.scheduler
        run_id = notebook.run(f"print(wf.submit('run', executor={executor!r}).run_id)")
    (newcomer.folder / "shapes.py").write_text("raise RuntimeError('edited')\n")
    run = LiveRun(newcomer, run_id, newcomer.folder / "run")
    run.until(lambda: run.state.final, "the end")
    assert run.state is RunState.FAILED
    assert run.counts("each") == {"SUCCESS": 2, "FAILED": 1}
    newcomer.touch("mended")
    said = newcomer.types("retry", run_id, name="-mreflow")
    assert "the cells of explore.ipynb as they were" in said
    run.until(lambda: run.state is RunState.SUCCESS, "the end of the retry")
    assert run.result("joined") == "o oo ooo"
