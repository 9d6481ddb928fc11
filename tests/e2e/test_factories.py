"""Tasks that loading the flow makes in other ways than by a function at the top of the file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from reflow.errors import DefinitionError

from tests.e2e.fixtures import Way, in_process_and_by_jobs
from tests.e2e.support import FlowFile, failed

Flows = Callable[..., FlowFile]

FACTORIES = """
    from functools import partial

    wf = Workflow("factories")

    def multiply(factor):
        def task(n: int = 10) -> int:
            did(f"mul{factor}")
            return n * factor
        return task

    for factor in (2, 3):
        wf.job(name=f"mul{factor}")(multiply(factor))

    def model(name: str, count: int) -> Flow:
        part = Flow(name)

        @part.job()
        def files() -> list[str]:
            return [f"{name}{number}" for number in range(count)]

        @part.job(array=True)
        def convert(file: Annotated[str, Result(step="files")]) -> str:
            did(file)
            return file.upper()

        return part

    for name, count in {"a": 2, "b": 1}.items():
        wf.include(model(name, count), prefix=name)

    one = lambda: 1
    one.__annotations__ = {"return": int}
    wf.job(name="one")(one)

    def power(base: Annotated[int, Result(step="one")], exponent: int, shift: int) -> int:
        did(f"power{exponent}")
        return (base + shift) ** exponent

    for exponent in (2, 3):
        wf.job(name=f"power{exponent}")(partial(power, exponent=exponent, shift=1))

    def define() -> None:
        @wf.job()
        def total(
            a: Annotated[int, Result(step="mul2")],
            b: Annotated[int, Result(step="mul3")],
            c: Annotated[list[str], Result(steps=["a_convert", "b_convert"])],
            d: Annotated[int, Result(step="power2")],
            e: Annotated[int, Result(step="power3")],
        ) -> str:
            return f"{a} {b} {c} {d} {e}"

    define()

    exec("@wf.job()\\ndef written() -> int:\\n    return 5")
"""


def test_whatever_loading_the_flow_makes_runs_anywhere(flow_file: Flows, way: Way) -> None:
    run = way(flow_file(FACTORIES))
    assert run.state == "SUCCESS", failed(run)
    assert run.result("total") == "20 30 ['A0', 'A1', 'B0'] 4 8"
    assert run.result("written") == 5


@in_process_and_by_jobs
def test_a_constant_that_a_task_closes_over_counts(flow_file: Flows, way: Way) -> None:
    flow = flow_file(FACTORIES)
    way(flow)
    flow.forget()
    flow.replace('{"a": 2, "b": 1}', '{"a": 2, "b": 2}')
    flow.replace("exponent=exponent, shift=1", "exponent=exponent, shift=exponent - 1")
    assert way(flow).result("total") == "20 30 ['A0', 'A1', 'B0', 'B1'] 4 27"
    assert flow.calls == {"b1": 1, "power3": 1}


GUARDED = """
    wf = Workflow("guarded")

    def make(name):
        @wf.job(name=name)
        def task() -> int:
            return 1

    make("early")

    if __name__ == "__main__":
        for name in ["late"]:
            make(name)
        if "--here" in sys.argv:
            print("got", wf.run_local().result("late"))
        else:
            wf.submit(executor="local")
"""


def script(file: Path, *words: str) -> str:
    ended = subprocess.run(
        [sys.executable, str(file), *words],
        cwd=file.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.stdout + ended.stderr


def test_a_task_made_under_the_main_guard_is_refused_by_name(flow_file: Flows) -> None:
    flow = flow_file(GUARDED)
    said = script(flow.path)
    assert "task 'late' of workflow 'guarded' is made under `if __name__ == '__main__'`" in said
    assert "'early'" not in said
    assert "got 1" in script(flow.path, "--here")


def test_a_task_that_a_script_adds_to_a_workflow_of_a_module_is_refused_by_name(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow_file(GUARDED, "module")
    main = tmp_path / "main.py"
    main.write_text(
        "from module import wf\n\n@wf.job()\ndef added() -> int:\n    return 1\n\n"
        "wf.run_local(max_workers=2)\n"
    )
    said = script(main)
    assert "task 'added' of workflow 'guarded' is made by main.py:3" in said
    assert "which load module.py" in said


def test_a_task_made_after_its_module_was_loaded_is_refused_by_name(flow_file: Flows) -> None:
    flow = flow_file(GUARDED)
    wf = flow.load()
    sys.modules["flow"].make("later")
    with pytest.raises(DefinitionError, match=r"task 'later' .* (was made after|is made by)"):
        wf.submit(executor="local")
    assert wf.run_local().result("later") == 1


BY_FUNCTION = """
    wf = Workflow("functions")

    @wf.job()
    def words() -> list[str]:
        did("words")
        return ["a", "b"]

    @wf.job(array=True)
    def upper(word: Annotated[str, Result(step=words)]) -> str:
        did("upper")
        return word.upper()

    @wf.job(after=words)
    def joined(words: Annotated[list[str], Result(step=upper)]) -> str:
        return "".join(words)
"""


@in_process_and_by_jobs
def test_tasks_are_wired_by_their_functions_whose_source_does_not_count(
    flow_file: Flows, way: Way
) -> None:
    flow = flow_file(BY_FUNCTION)
    assert way(flow).result("joined") == "AB"
    flow.forget()
    flow.replace('return ["a", "b"]', 'return list("ab")')
    assert way(flow).result("joined") == "AB"
    assert flow.calls == {"words": 1}


BOUND = """
    inner = Flow("inner")

    @inner.job(array=True)
    def keep(item: Annotated[Path, Param(each=True)], threshold: int) -> str:
        did(f"{item.name}/{threshold}")
        return f"{item.read_text()}>{threshold}"

    wf = Workflow("bound")
    wf.include(inner, prefix="low", bind={"threshold": 1, "item": ["{here}/a", "{here}/b"]})
    wf.include(inner, prefix="high", bind={"threshold": 5})
"""


def test_each_inclusion_runs_with_the_values_that_it_binds(
    flow_file: Flows, way: Way, tmp_path: Path
) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name * 2)
    flow = flow_file(BOUND)
    run = way(flow, item=[tmp_path / "a"])
    assert run.state == "SUCCESS", failed(run)
    assert run.result("low_keep") == ["aa>1", "bb>1"]
    assert run.result("high_keep") == ["aa>5"]
    assert set(run.status(as_dict=True)["run"]["parameters"]) == {"item"}
    inputs = {task["name"]: task["inputs"] for task in flow.load().describe()["tasks"]}
    assert inputs["high_keep"][1]["source"] == "bound"
    assert inputs["high_keep"][1]["value"] == 5
    # A bound value counts, and a file that it names.
    flow.forget()
    flow.replace('bind={"threshold": 5}', 'bind={"threshold": 6}')
    (tmp_path / "b").write_text("changed")
    assert way(flow, item=[tmp_path / "a"]).result("low_keep") == ["aa>1", "changed>1"]
    assert flow.calls == {"b/1": 1, "a/6": 1}
