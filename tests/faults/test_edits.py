"""Flows that are edited while jobs wait, and flows that other processes cannot load."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from reflow import Result, Workflow
from reflow.errors import DefinitionError

from tests.e2e.support import FlowFile, counts, failed, until
from tests.faults.scripted_scheduler import Folder, JobFault, ScriptedExecutor

Flows = Callable[..., FlowFile]

FLOW = """
    wf = Workflow("edited")

    @wf.job()
    def items() -> list[int]:
        return [0, 1, 2]

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step="items")]) -> str:
        did(f"old-{x}")
        wait_for("{here}/go")
        return f"old-{x}"

    @wf.job()
    def last(xs: Annotated[list[str], Result(step="each")]) -> str:
        return " ".join(xs)
"""


def test_elements_that_waited_while_their_task_was_edited_run_as_submitted(
    flow_file: Flows, tmp_path: Path
) -> None:
    from reflow.executors.local import LocalExecutor

    flow = flow_file(FLOW)
    run = flow.load().submit(executor=LocalExecutor(slots=1))
    until(lambda: flow.calls["old-0"])
    flow.replace('did(f"old-{x}")', 'did(f"new-{x}")')
    flow.replace('return f"old-{x}"', 'return f"new-{x}"')
    (tmp_path / "go").touch()
    assert run.wait(timeout=60) == "SUCCESS"
    assert run.result("last") == "old-0 old-1 old-2"
    # These are no results of the new source's.
    assert flow.run("inline").result("each") == ["new-0", "new-1", "new-2"]
    assert flow.calls == {f"{age}-{x}": 1 for age in ("old", "new") for x in range(3)}


def test_a_retry_under_a_living_supervisor_takes_the_new_source(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(
        FLOW.replace('did(f"old-{x}")', 'did(f"old-{x}"); assert x != 0, "a mistake"').replace(
            "[0, 1, 2]", "[0, 1]"
        )
    )
    run = flow.load().submit(executor="local")
    until(lambda: flow.calls["old-1"] and counts(run, "each").get("FAILED"))
    flow.replace('; assert x != 0, "a mistake"', "")
    assert run.retry() == 2
    until(lambda: flow.calls["old-0"] == 2)
    (tmp_path / "go").touch()
    assert run.wait(timeout=60) == "SUCCESS"
    assert run.result("each") == ["old-0", "old-1"]
    assert flow.calls == {"old-0": 2, "old-1": 1}


def test_a_retry_on_a_cluster_takes_the_new_source_from_a_process_that_has_the_old_one(
    scheduler: Folder, flow_file: Flows
) -> None:
    flow = flow_file(FLOW)
    (flow.folder / "go").touch()
    # What is not begun yet when the flow is edited.
    scheduler.arrange(JobFault("impossible", "each"))
    workflow = flow.load()
    run = workflow.submit(executor=ScriptedExecutor(folder=str(scheduler.path)))
    until(lambda: counts(run, "each").get("SUCCESS", 0) == 2)
    flow.replace('return f"old-{x}"', 'return f"new-{x}"')
    assert run.cancel() > 0
    until(lambda: run.state == "CANCELLED" and not scheduler.in_queue())
    # This process has the old source still, and takes the new one all the same.
    assert run.retry() > 0
    until(lambda: run.state != "RUNNING")
    assert failed(run) == {}
    assert sorted(run.result("each"))[0].startswith("new-")
    assert run.state == "SUCCESS"


def _break(flow: FlowFile) -> None:
    flow.path.write_text(f"{flow.path.read_text()}\ndef half(")


def _delete(flow: FlowFile) -> None:
    for file in flow.folder.glob("*.py"):
        file.unlink()
    (flow.folder / "package" / "deep.py").unlink()


def _edit(flow: FlowFile) -> None:
    flow.replace('return f"{shape(x)}', 'return f"edited {shape(x)}')
    (flow.folder / "shapes.py").write_text("def shape(x): return 'edited'")


def _die(flow: FlowFile) -> None:
    for file in (flow.path, flow.folder / "shapes.py"):
        file.write_text("import os\nos._exit(9)")


FROZEN = """
    from shapes import shape

    wf = Workflow("frozen")

    @wf.job()
    def items() -> list[int]:
        did("begun")
        wait_for("{here}/go")
        return [1, 2]

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step="items")]) -> str:
        from package.deep import FACTOR
        return f"{shape(x)} {FACTOR}"

    @wf.job()
    def last(xs: Annotated[list[str], Result(step="each")]) -> str:
        return ", ".join(xs)
"""


@pytest.mark.parametrize("happens", [_edit, _break, _delete, _die])
@pytest.mark.parametrize("way", ["background", "dispatch jobs"])
def test_what_happens_to_the_source_while_jobs_wait_harms_nothing(
    flow_file: Flows, scheduler: Folder, way: str, happens: Callable[[FlowFile], None]
) -> None:
    flow = flow_file(FROZEN)
    (flow.folder / "shapes.py").write_text(
        "from pathlib import Path\n"
        "def shape(x): return x * Path(__file__).with_name('word').read_text()"
    )
    (flow.folder / "word").write_text("o")
    (flow.folder / "package").mkdir()
    (flow.folder / "package/__init__.py").touch()
    (flow.folder / "package/deep.py").write_text("FACTOR = 7")
    executor = "local" if way == "background" else ScriptedExecutor(folder=str(scheduler.path))
    run = flow.load().submit(executor=executor)
    until(lambda: flow.calls["begun"])
    happens(flow)
    (flow.folder / "go").touch()
    assert run.wait(timeout=60) == "SUCCESS"
    assert run.result("last") == "o 7, oo 7"


@pytest.mark.parametrize("call", ["wf.submit(executor='local')", "wf.run_local(max_workers=2)"])
def test_a_flow_that_runs_itself_when_it_is_imported_does_not_multiply(
    flow_file: Flows, tmp_path: Path, call: str
) -> None:
    flow = flow_file(
        f"""
        wf = Workflow("unguarded")

        @wf.job()
        def one() -> int:
            did("one")
            return 1

        did("called")
        run = {call}
        run.wait()
        print(run.status(as_dict=True))
        """
    )
    ended = subprocess.run(
        [sys.executable, str(flow.path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert "__main__" in said, said
    assert "while it is being imported" in said
    assert flow.calls["one"] == 0
    assert len(list((tmp_path / "runs").iterdir())) == 1


def _nested() -> Workflow:
    workflow = Workflow("nested")

    @workflow.job()
    def inner() -> int:
        return 1

    return workflow


def _with_lambda() -> Workflow:
    workflow = Workflow("lambdas")
    function = lambda: 1  # noqa: E731
    function.__annotations__["return"] = int
    workflow.job(name="short")(function)
    return workflow


def _from_a_prompt() -> Workflow:
    names: dict[str, object] = {"Workflow": Workflow, "Result": Result, "__name__": "__main__"}
    exec(  # as a notebook does
        "wf = Workflow('notebook')\n@wf.job()\ndef cell() -> int:\n    return 1\n",
        names,
    )
    workflow = names["wf"]
    assert isinstance(workflow, Workflow)
    return workflow


@pytest.mark.parametrize(
    ("make", "task", "what"),
    [
        (_nested, "inner", "not a variable of any module"),
        (_with_lambda, "short", "not a variable of any module"),
        (_from_a_prompt, "cell", "'cell' .* is defined at a prompt"),
    ],
)
def test_what_other_processes_cannot_import_runs_in_this_one_and_nowhere_else(
    make: Callable[[], Workflow], task: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import types

    # In a notebook the main module has no file.
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    workflow = make()
    workflow.validate()
    with pytest.raises(DefinitionError, match=what):
        workflow.submit(executor="local")
    with pytest.raises(DefinitionError, match="max_workers=1"):
        workflow.run_local(max_workers=2)
    assert not workflow.store.list_runs()
    assert workflow.run_local().result(task) == 1


def test_a_workflow_that_no_module_holds_is_refused_where_it_would_be_looked_for(
    flow_file: Flows,
) -> None:
    flow = flow_file(
        """
        def make() -> Workflow:
            made = Workflow("made")
            made.job()(one)
            return made

        def one() -> int:
            return 1

        wf = make
        """
    )
    workflow = flow.load()()
    workflow.validate()
    with pytest.raises(DefinitionError, match="not a variable of any module"):
        workflow.submit(executor="local")
    assert workflow.run_local().result("one") == 1


def test_a_script_that_is_run_is_found_by_its_workers_under_one_name(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(
        """
        wf = Workflow("script")

        @dataclass
        class Point:
            x: int

        @wf.job()
        def points() -> list[Point]:
            return [Point(1), Point(2)]

        @wf.job(array=True)
        def move(point: Annotated[Point, Result(step="points")]) -> Point:
            assert type(point) is Point
            return Point(point.x + 1)

        if __name__ == "__main__":
            for run in (
                wf.run_local(),
                wf.run_local(max_workers=2, force=True),
                wf.submit(executor="local", force=True),
            ):
                run.wait()
                moved = run.result("move")
                assert moved == [Point(2), Point(3)], moved
                assert type(moved[0]) is Point
            # Ran as a script or imported, it is one and the same code.
            again = wf.run_local()
            assert again.result("move") == moved
        """
    )
    subprocess.run(
        [sys.executable, flow.path.name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        timeout=100,
        check=True,
    )


def test_a_module_beside_the_flow_is_found_by_workers_and_counts(flow_file: Flows) -> None:
    flow = flow_file(
        """
        from helpers import shape

        wf = Workflow("beside")

        @wf.job()
        def shaped() -> str:
            did("shaped")
            return shape("a")
        """
    )
    helpers = flow.folder / "helpers.py"
    helpers.write_text("def shape(text: str) -> str:\n    return text.upper()\n")
    assert flow.run("background").result("shaped") == "A"
    assert flow.run("pool").result("shaped") == "A"
    assert flow.calls == {"shaped": 1}
    helpers.write_text("def shape(text: str) -> str:\n    return text * 2\n")
    assert flow.run("background").result("shaped") == "aa"
    assert threading.active_count() < 5
