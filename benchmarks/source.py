"""What it costs to take a flow's source at submission, and what it saves afterwards.

A flow with a package of 100 modules beside it, of which it reaches all, and numpy and pandas.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

MODULES = 100
FLOW = """
import numpy, pandas
from lab import *
from reflow import Workflow
wf = Workflow("measured")
@wf.job()
def task(x: int = 1) -> int:
    return {calls}
if __name__ == "__main__":
    print(wf.submit(executor="local", run_dir="run").wait())
"""
MODULE = """
import os
LIMIT_{number} = int(os.environ.get("LIMIT", "1"))
TABLE_{number} = {{name: name.upper() for name in "abc"}}
class Kind_{number}:
    def scaled(self, x): return x * LIMIT_{number}
def step_{number}(x):
    return Kind_{number}().scaled(x) + len(TABLE_{number})
"""


def make(folder: Path) -> Path:
    """Write the flow."""
    package = folder / "lab"
    package.mkdir()
    for number in range(MODULES):
        (package / f"m{number}.py").write_text(MODULE.format(number=number))
    lines = [f"from lab.m{number} import step_{number}" for number in range(MODULES)]
    (package / "__init__.py").write_text("\n".join(lines))
    calls = " + ".join(f"step_{number}(x)" for number in range(MODULES))
    (folder / "flow.py").write_text(FLOW.format(calls=calls))
    return folder / "flow.py"


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def child(folder: Path, code: str) -> float:
    """Seconds of a process that runs some code; the best of three."""
    words = [sys.executable, "-c", code]
    run = lambda: subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: E731
    return min(timed(run) for _ in range(3))


def main() -> None:
    """Measure, and print a line each."""
    from reflow.cli.named_flow import load_workflow
    from reflow.fingerprint.code.digest import Survey
    from reflow.rundir.source_archive import freeze, modules_by_place

    folder = Path(tempfile.mkdtemp())
    workflow = load_workflow(make(folder))
    (spec,) = workflow.specs()
    survey = Survey([spec.function], folder / "flow.py")
    first = timed(lambda: survey.look_at(spec.function))
    again = timed(lambda: survey.look_at(spec.function))
    print(f"digest of {MODULES} modules, {MODULES} values: {first * 1e3:.0f} ms")
    print(f"one more task that reaches the same: {again * 1e3:.0f} ms")
    own = survey.own_files(modules_by_place())
    print(f"copy: {timed(lambda: freeze(own, folder / 'copies')) * 1e3:.0f} ms")
    print(f"copy that is there: {timed(lambda: freeze(own, folder / 'copies')) * 1e3:.0f} ms")
    subprocess.run([sys.executable, "flow.py"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    settings = (
        "import sys; from pathlib import Path; sys.path.insert(0, '.')\n"
        "from reflow.rundir.run_settings import read_settings\n"
        "run = next(Path('run/.reflow').glob('measured-*'))\n"
        "settings = read_settings(Path('run').absolute(), run.name)\n"
    )
    graph = "from reflow.runs.open_dispatcher import recorded_graph as graph\ngraph(settings)"
    flow = "from reflow.runs.open_dispatcher import load_graph as graph\ngraph(settings)"
    print(f"a dispatcher's graph, from the run directory: {child(folder, settings + graph):.2f} s")
    print(f"a dispatcher's graph, from the flow: {child(folder, settings + flow):.2f} s")
    worker = (
        "from reflow.execution.execute import load_into_worker\n"
        "from reflow.rundir.source_record import RunSource, current_source, other_values\n"
        "source = RunSource.read(settings.layout, current_source(settings.layout))\n"
        "load_into_worker(settings, source); list(other_values(source, 'task'))"
    )
    print(
        f"a worker's flow, from the copy, values compared: {child(folder, settings + worker):.2f} s"
    )


if __name__ == "__main__":
    main()
