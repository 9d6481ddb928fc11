"""Flows that are defined in a notebook, run by other processes; with a real kernel."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent

import pytest

from tests.e2e.kernel import CellError, Notebook, open_notebook
from tests.e2e.support import fake_scheduler, nothing_left

Opens = Callable[..., Notebook]

HEAD = """
    from typing import Annotated
    from reflow import Result, Workflow
    wf = Workflow("explore")
"""
CHAIN = """
    @wf.job
    def load() -> list[int]:
        return data

    @wf.job(array=True)
    def scale(x: Annotated[int, Result(step=load)]) -> int:
        return scaled(x)
"""


@pytest.fixture
def opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opens]:
    """Open a notebook in the test's folder; no process of it outlives the test."""
    monkeypatch.setenv("ENGINE_TEST_FOLDER", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    with nothing_left(tmp_path), ExitStack() as stack:
        yield lambda name=None: stack.enter_context(open_notebook(tmp_path, name))


@pytest.fixture
def notebook(opens: Opens) -> Notebook:
    opened = opens()
    opened.run(HEAD)
    return opened


def reflow(*words: str) -> subprocess.CompletedProcess[str]:
    """Type a command into a shell."""
    return subprocess.run(
        [sys.executable, "-m", "reflow", *words], capture_output=True, text=True, check=False
    )


def read_elsewhere(run_id: str, what: str) -> str:
    """Read something of a run in a process that knows nothing but its id."""
    script = f"from reflow.run import open_run; print(open_run({run_id!r}).{what})"
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    return said.stdout.strip()


WAYS = {
    "pool": "run = wf.run_local(max_workers=2)",
    "background": "run = wf.submit(executor='local'); run.wait()",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_flow_of_cells_runs_in_other_processes(notebook: Notebook, way: str) -> None:
    notebook.run("import os\nfrom dataclasses import dataclass\nkernel = os.getpid()")
    notebook.run("data = [1, 2, 3]\nFACTOR = int('10')")
    notebook.run(
        """
        @dataclass
        class Scaled:
            value: int
            elsewhere: bool

        def scaled(x):
            return Scaled(x * FACTOR, os.getpid() != kernel)
        """
    )
    notebook.run(CHAIN.replace("-> int:", "-> Scaled:"))
    notebook.run(WAYS[way])
    assert notebook.run("[each.value for each in run.result('scale')]") == "[10, 20, 30]"
    assert notebook.run("all(each.elsewhere for each in run.result('scale'))") == "True"
    assert notebook.run("type(run.result('scale')[0]) is Scaled") == "True"


def test_nothing_but_definitions_runs_again(notebook: Notebook, tmp_path: Path) -> None:
    notebook.run(
        """
        from pathlib import Path
        def happened(what):
            with Path("happened").open("a") as file:
                file.write(f"{what}\\n")
            return what
        """
    )
    notebook.run("data = [happened(1)]; data.append(2)\n!echo a line for the shell")
    notebook.run("def scaled(x): return x * LIMIT\nLIMIT = happened(5)")
    notebook.run(CHAIN)
    notebook.run("happened('plot'); run = wf.run_local(max_workers=2)")
    assert notebook.run("run.result('scale')") == "[5, 10]"
    assert (tmp_path / "happened").read_text().split() == ["1", "5", "plot"]


def test_results_are_found_again_by_another_kernel_until_a_helper_is_edited(opens: Opens) -> None:
    def run(helper: str) -> list[str]:
        kernel = opens()
        for cell in (HEAD, "data = [1, 2]", helper, CHAIN):
            kernel.run(cell)
        kernel.run("run = wf.run_local(max_workers=2)")
        tasks = "run.status(as_dict=True)['tasks']"
        return [kernel.run(f"{tasks}['{name}']['cached']") for name in ("load", "scale")]

    assert run("def scaled(x): return x * 2") == ["0", "0"]
    assert run("# a comment\ndef scaled(x):\n    return x * 2") == ["1", "2"]
    assert run("def scaled(x): return x * 3") == ["1", "0"]


def test_cells_that_are_moved_into_a_file_keep_their_results(
    notebook: Notebook, tmp_path: Path
) -> None:
    cells = ["FACTOR = int('2')\ndata = [1, 2]\ndef scaled(x): return x * FACTOR", CHAIN]
    for cell in cells:
        notebook.run(cell)
    notebook.run("wf.submit(executor='local').wait()")
    text = "\n".join(dedent(each) for each in (HEAD, *cells))
    (tmp_path / "flow.py").write_text(f"{text}\nif __name__ == '__main__':\n    wf.cli()\n")
    said = subprocess.run(
        [sys.executable, "flow.py", "run"], capture_output=True, text=True, check=False
    )
    assert "all 3 results came from the cache" in said.stdout, said


def test_results_of_this_process_and_of_others_are_the_same_to_the_cache(
    notebook: Notebook,
) -> None:
    for cell in ("data = [1, 2]", "def scaled(x): return x", CHAIN):
        notebook.run(cell)
    notebook.run("wf.run_local(); run = wf.run_local(max_workers=2)")
    assert notebook.run("run.status(as_dict=True)['tasks']['scale']['cached']") == "2"


def test_cells_run_again_and_out_of_order_count_as_they_are_now(notebook: Notebook) -> None:
    helper = "def scaled(x): return x * FACTOR"
    for cell in (CHAIN, helper, "FACTOR = 1", "data = [1]", "FACTOR = 2", helper, CHAIN, CHAIN):
        notebook.run(cell)
    notebook.run("FACTOR = 3\ndata += [7]\ndef scaled(x): return x * FACTOR + 1")
    assert notebook.run("wf.run_local(max_workers=2).result('scale')") == "[4, 22]"


def test_a_cell_that_failed_half_way_counts_as_far_as_it_came(notebook: Notebook) -> None:
    notebook.run("data = [1]\ndef scaled(x): return x + 1")
    notebook.run(CHAIN)
    with pytest.raises(CellError, match="ZeroDivisionError"):
        notebook.run("data = [5]\n1 / 0\ndef scaled(x): return x + 100")
    assert notebook.run("wf.run_local(max_workers=2).result('scale')") == "[6]"


def test_definitions_of_all_shapes_are_taken_along(notebook: Notebook) -> None:
    notebook.run(
        """
        from __future__ import annotations
        import enum, functools, math as mathematics, os.path
        from collections import namedtuple
        from datetime import timedelta
        from pathlib import Path
        from typing import NamedTuple
        import numpy as np

        Grün = namedtuple("Grün", "é %s" % "b")
        Vector = list[int]
        GRID = np.linspace(0, 1, 3)
        HERE, DAY, WORDS = Path("a b"), timedelta(days=1), {"ä": ("%", {3, 1})}
        NAN = float("nan")
        class Colour(enum.Enum):
            RED = 1
        BEST = Colour.RED
        sum = lambda numbers: 1000  # instead of the built-in one
        @functools.singledispatch
        def kind(value): return "other"
        @kind.register
        def _(value: int): return "int"
        Colour.mix = {"by": 2}
        """
    )
    notebook.run(
        """
        def traced(function):
            @functools.wraps(function)
            def wrapper(*given, **named):
                return function(*given, **named) + BONUS
            return wrapper
        BONUS = 1
        def power(exponent):
            return lambda x: x ** exponent
        cube = power(3)
        half = functools.partial(lambda by, x: x / by, 2)
        STEPS = {"cube": cube, "half": half}
        """
    )
    with pytest.raises(CellError, match=r"STEPS .* 'half'"):
        notebook.run("@wf.job\ndef odd() -> int: return len(STEPS)\nwf.run_local(max_workers=2)")
    notebook.run(
        '''
        STEPS = [cube, power]
        @wf.job(name="odd")
        @traced
        def odd() -> int:
            """100 % of it, "quoted" \\\\ 'twice'."""
            assert (Grün(1, 2).b, BEST.name, HERE.name, DAY.days) == (2, "RED", "a b", 1)
            assert WORDS["ä"][1] == {1, 3} and NAN != NAN and GRID.sum() == 1.5
            assert (kind(1), kind("a"), Colour.mix["by"]) == ("int", "other", 2)
            assert os.path.sep == "/" and mathematics.pi > 3
            def inner(numbers: Vector): return sum(numbers)
            return inner([1]) + STEPS[0](2)
        '''
    )
    assert notebook.run("wf.run_local(max_workers=2).result('odd')") == "1009"


def test_tasks_of_loops_factories_and_lambdas_are_taken_along(notebook: Notebook) -> None:
    notebook.run(
        """
        def times(by):
            def work(x: Annotated[int, Result(step="load")]) -> int:
                return x * by
            return work
        for by in (2, 3):
            wf.job(name=f"times{by}", array=True)(times(by))
        start = lambda: [1, 2]
        start.__annotations__ = {'return': list[int]}
        wf.job(name="load")(start)
        """
    )
    notebook.run("run = wf.run_local(max_workers=2)")
    assert notebook.run("run.result('times2'), run.result('times3')") == "([2, 4], [3, 6])"


def test_cells_under_magics_and_with_await_are_read(notebook: Notebook) -> None:
    notebook.run("%%time\n!echo one\ndata = [1]\ndef scaled(x): return shift(x)")
    notebook.run("%%capture output\ndef shift(x): return x + 1")
    notebook.run(
        "import asyncio\nawait asyncio.sleep(0)\n"
        + "\n".join(line[4:] for line in CHAIN.splitlines())
    )
    assert notebook.run("wf.run_local(max_workers=2).result('scale')") == "[2]"


def test_flows_included_from_cells_and_modules_are_taken_along(
    notebook: Notebook, tmp_path: Path
) -> None:
    (tmp_path / "parts.py").write_text(
        "from reflow import Flow\nflow = Flow('parts')\n"
        "@flow.job\ndef part(level: int = 1) -> int: return level\n"
    )
    notebook.run("import parts\nfrom parts import flow\nfrom reflow import Flow\nown = Flow('own')")
    notebook.run("@own.job\ndef mine() -> int: return 4")
    notebook.run("wf.include(flow, prefix='high', bind={'level': 3})\nwf.include(own)")
    notebook.run("run = wf.run_local(max_workers=2)")
    assert notebook.run("run.result('high_part'), run.result('mine')") == "(3, 4)"


REFUSED = {
    "an object": ("import threading\nvalue = threading.Lock()", "value", "_thread.lock"),
    "a frame": ("import pandas\nvalue = pandas.DataFrame({'a': [1]})", "len(value)", "DataFrame"),
    "large data": ("value = b'x' * 2_000_000", "value[0]", "too large"),
    "a magic": ("", "get_ipython()", "only a notebook has"),
    "a function of the shell": ("", "display(1)", "only a notebook has"),
    "another default": ("N = 1\ndef value(n=N): return n\nN = 2", "value()", "has changed since"),
    "another class": ("N = 1\nclass value: n = N\nN = 2", "value.n", "has changed since"),
    "another closure": (
        "def make(n): return lambda: n\nN = 1\nvalue = make(N)\nN = 2",
        "value()",
        "has changed since",
    ),
    "an earlier function": (
        "def value(): return 1\nolder = value\ndef value(): return 2",
        "older()",
        "is an older definition of 'value'",
    ),
    "a function that was given something": (
        "def value(): return 1\nvalue.part = max(2, 3)",
        "value.part",
        "has changed since",
    ),
}


def test_what_cannot_be_taken_along_is_refused_by_name(notebook: Notebook) -> None:
    for number, (cell, use, why) in enumerate(REFUSED.values()):
        notebook.run(f"wf = Workflow('refused{number}')")
        notebook.run(cell)
        notebook.run(f"@wf.job\ndef use() -> int:\n    return {use}")
        with pytest.raises(CellError, match=why) as refusal:
            notebook.run("wf.submit(executor='local')")
        name = "older" if "older" in use else "value"
        assert name in str(refusal.value) or "only a notebook" in str(refusal.value)
    assert notebook.run("len(wf.store.list_runs())") == "0"


def test_modules_that_were_edited_are_loaded_again_first(
    notebook: Notebook, tmp_path: Path
) -> None:
    helper = tmp_path / "helper.py"
    helper.write_text("def plus(x): return x + 1\n")
    notebook.run("import importlib, helper\nfrom helper import plus")
    notebook.run("@wf.job\ndef use() -> list[int]: return [helper.plus(0), plus(0)]")
    submit = "run = wf.submit(executor='local'); run.wait(); run.result('use')"
    assert notebook.run(submit) == "[1, 1]"
    helper.write_text("def plus(x): return x + 20  # edited\n")
    with pytest.raises(CellError, match=r"helper.py was edited after .* importlib.reload"):
        notebook.run(submit)
    assert notebook.run("wf.run_local().result('use')") == "[1, 1]"
    notebook.run("importlib.reload(helper)")
    with pytest.raises(CellError, match=r"'plus' .* has changed since"):
        notebook.run(submit)
    notebook.run("from helper import plus")
    assert notebook.run(submit) == "[20, 20]"


def test_a_shell_knows_the_run_and_retries_it_when_the_kernel_is_gone(
    opens: Opens, tmp_path: Path
) -> None:
    with open_notebook(tmp_path, "explore.ipynb") as notebook:
        for cell in (
            HEAD,
            "from pathlib import Path\ndata = [1, 2]",
            """
            def scaled(x):
                if not Path("ready").exists():
                    raise OSError("not ready")
                return x * 10
            """,
            CHAIN,
            "run = wf.submit(executor='local'); run.wait()",
        ):
            notebook.run(cell)
        run_id = notebook.run("print(run.run_id)")
    status = reflow("status", run_id, "--errors")
    assert "not ready" in status.stdout
    assert 'explore.ipynb.cells", line' in status.stdout
    (tmp_path / "ready").touch()
    retried = reflow("retry", run_id)
    assert retried.returncode == 0, retried.stderr
    assert "the cells of explore.ipynb as they were" in retried.stderr + retried.stdout
    with open_notebook(tmp_path) as other:
        for cell in (HEAD, CHAIN, f"run = wf.open_run({run_id!r}); run.wait(30)"):
            other.run(cell)
        assert other.run("run.result('scale')") == "[10, 20]"


def test_a_run_in_the_notebook_itself_is_read_elsewhere_but_retried_there_alone(
    notebook: Notebook,
) -> None:
    notebook.run("data = [1, 2]\ndef scaled(x): return 1 // (x - 1)")
    notebook.run(CHAIN)
    notebook.run("run = wf.run_local(on_error='continue')")
    run_id = notebook.run("print(run.run_id)")
    retried = reflow("retry", run_id)
    assert retried.returncode != 0
    assert "retry it where it was started" in retried.stderr
    assert "FAILED" in reflow("status", run_id).stdout
    assert read_elsewhere(run_id, "result('load')") == "[1, 2]"
    notebook.run("def scaled(x): return x")
    assert notebook.run("run.retry(); run.result('scale')") == "[1, 2]"


def test_retry_in_the_notebook_takes_the_cells_as_they_are_now(notebook: Notebook) -> None:
    for cell in (
        "data = [1, 2]",
        "def scaled(x): return 1 // (x - 1)",
        CHAIN,
        "run = wf.submit(executor='local'); run.wait()",
    ):
        notebook.run(cell)
    assert notebook.run("run.state.value") == "'FAILED'"
    notebook.run("def scaled(x): return -x")
    notebook.run("run.retry(); run.wait()")
    assert notebook.run("run.result('scale')") == "[-1, -2]"


def test_pickled_values_and_errors_of_classes_of_cells_are_read_by_the_notebook_and_shells(
    notebook: Notebook,
) -> None:
    notebook.run("from reflow import Pickled")
    notebook.run("class Model:\n    def __init__(self, k): self.k = k\nclass Bad(Exception): pass")
    notebook.run(
        """
        @wf.job
        def fit() -> Annotated[Model, Pickled()]:
            return Model(3)

        @wf.job(after=["fit"])
        def fail() -> int:
            raise Bad("no")
        """
    )
    notebook.run("run = wf.submit(executor='local'); run.wait(); model = run.result('fit')")
    assert notebook.run("type(model) is Model, model.k") == "(True, 3)"
    assert notebook.run("type(run.failure().__cause__) is Bad") == "True"
    run_id = notebook.run("print(run.run_id)")
    assert read_elsewhere(run_id, "result('fit').k") == "3"


def test_a_flow_typed_at_the_prompt_of_ipython_runs_in_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_TEST_FOLDER", str(tmp_path))
    typed = [
        "from reflow import Workflow",
        "wf = Workflow('typed')",
        "N = 4",
        "@wf.job",
        "def one() -> int:",
        "    return N + 1",
        "",
        "print('it is', wf.run_local(max_workers=2).result('one'))",
    ]
    shell = [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=nocolor"]
    with nothing_left(tmp_path):
        said = subprocess.run(
            shell, input="\n".join([*typed, ""]), capture_output=True, text=True, check=False
        )
    assert "it is 5" in said.stdout, said.stdout + said.stderr


def test_tasks_of_cells_run_workflows_of_cells(notebook: Notebook) -> None:
    notebook.run(
        "inner = Workflow('inner')\n@inner.job\ndef one(n: int) -> list[int]: return [n, n]"
    )
    notebook.run(
        """
        @inner.job(array=True)
        def double(x: Annotated[int, Result(step="one")]) -> int:
            return 2 * x

        @wf.job
        def outer() -> list[int]:
            return inner.run_local(n=3, max_workers=2).result("double")
        """
    )
    assert notebook.run("wf.run_local(max_workers=2).result('outer')") == "[6, 6]"
    notebook.run(
        "run = wf.submit(executor='local'); run.wait(); inner_runs = inner.store.list_runs()"
    )
    assert notebook.run("sorted({each.workflow for each in inner_runs})") == "['explore', 'inner']"


def test_two_notebooks_in_one_folder_do_not_meet(opens: Opens, tmp_path: Path) -> None:
    for name, by in (("one.ipynb", 2), ("two.ipynb", 3)):
        kernel = opens(name)
        for cell in (HEAD, "data = [1]", f"def scaled(x): return x * {by}", CHAIN):
            kernel.run(cell)
        kernel.run("run = wf.submit('both', executor='local'); run.wait()")
        assert kernel.run("run.result('scale')") == f"[{by}]"


def test_a_flow_of_cells_runs_as_jobs_of_a_scheduler(
    opens: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_scheduler("slurm", tmp_path, monkeypatch):
        kernel = opens()
        for cell in (HEAD, "data = [1, 2, 3]", "def scaled(x): return x * 2", CHAIN):
            kernel.run(cell)
        kernel.run("run = wf.submit(executor='slurm')")
        # The jobs dispatch what follows, whether or not there still is a notebook.
        assert kernel.run("run.wait(60).value") == "'SUCCESS'"
        assert kernel.run("run.result('scale')") == "[2, 4, 6]"


def test_a_mistake_is_shown_in_one_line_and_where_it_is(notebook: Notebook) -> None:
    notebook.run("data = [1]\ndef scaled(x): return x")
    notebook.run(CHAIN)
    notebook.run("wf.run_local(max_workers=2)")
    notebook.run("wf = Workflow('explore')")
    with pytest.raises(CellError, match="has no tasks: decorate a function") as refusal:
        notebook.run("1\nwf.run_local()")
    assert refusal.value.shown.startswith("line 2 of the cell: DefinitionError: workflow 'explore'")
    assert "\n" not in refusal.value.shown


def test_runs_and_workflows_show_themselves(notebook: Notebook) -> None:
    for cell in ("data = [1, 2]", "def scaled(x): return x", CHAIN):
        notebook.run(cell)
    assert "<svg" in notebook.html("wf")
    assert "2/2" in notebook.html("wf.run_local()")
