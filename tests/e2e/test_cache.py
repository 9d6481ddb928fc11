"""When a result is used again, and when never."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.support import FlowFile, counts, failed

Flows = Callable[..., FlowFile]

PIPELINE = """
    wf = Workflow("pipeline")

    def shape(text: str) -> str:
        return text.upper()

    @wf.job()
    def items(names: str = "a b c") -> list[str]:
        did("items")
        return names.split()

    @wf.job(array=True)
    def each(item: Annotated[str, Result(step="items")], factor: int = 1) -> str:
        did(f"each-{item}")
        return shape(item) * factor

    @wf.job()
    def joined(parts: Annotated[list[str], Result(step="each")]) -> str:
        did("joined")
        return "".join(parts)
"""

ALL = {"items": 1, "each-a": 1, "each-b": 1, "each-c": 1, "joined": 1}


@pytest.fixture
def pipeline(flow_file: Flows) -> FlowFile:
    """A flow that has run once, its journal empty again."""
    flow = flow_file(PIPELINE)
    assert flow.run().result("joined") == "ABC"
    assert flow.calls == ALL
    flow.forget()
    return flow


@pytest.mark.parametrize("way", ["inline", "pool", "background"])
def test_what_has_run_with_the_same_inputs_does_not_run_again(
    pipeline: FlowFile, way: str, tmp_path: Path
) -> None:
    run = pipeline.run(way, run_dir=tmp_path / "elsewhere")
    assert run.result("joined") == "ABC"
    assert run.result("each") == ["A", "B", "C"]
    assert pipeline.calls == {}
    assert counts(run, "each") == {"SUCCESS": 3}


def test_a_changed_parameter_reruns_the_tasks_that_receive_it(pipeline: FlowFile) -> None:
    assert pipeline.run(factor=2).result("joined") == "AABBCC"
    assert pipeline.calls == {"each-a": 1, "each-b": 1, "each-c": 1, "joined": 1}


def test_a_parameter_of_equal_value_and_other_type_is_another_input(flow_file: Flows) -> None:
    flow = flow_file(
        """
        wf = Workflow("types")

        @wf.job()
        def make(which: int) -> object:
            return [1, True, 1.0, "1", None][which]

        @wf.job()
        def show(x: Annotated[object, Result(step="make")]) -> str:
            did("show")
            return repr(x)
        """
    )
    seen = [flow.run(which=which).result("show") for which in range(5)]
    assert seen == ["1", "True", "1.0", "'1'", "None"]
    assert flow.calls == {"show": 5}


def test_adding_one_item_to_a_list_runs_one_element(pipeline: FlowFile) -> None:
    assert pipeline.run(names="d a b c").result("joined") == "DABC"
    assert pipeline.calls == {"items": 1, "each-d": 1, "joined": 1}


def test_an_edit_of_form_changes_nothing(pipeline: FlowFile) -> None:
    pipeline.replace("    return text.upper()", "    # loud\n\n    return (text.upper())")
    pipeline.replace(
        'def joined(parts: Annotated[list[str], Result(step="each")]) -> str:\n    did',
        'def joined(\n    parts: Annotated[list[str], Result(step="each")],\n) -> str:\n'
        '    """Join them."""\n    did',
    )
    assert pipeline.run().result("joined") == "ABC"
    assert pipeline.calls == {}


def test_an_edit_of_a_task_reruns_it_and_what_gets_another_value(pipeline: FlowFile) -> None:
    pipeline.replace('return "".join(parts)', 'return "+".join(parts)')
    assert pipeline.run().result("joined") == "A+B+C"
    assert pipeline.calls == {"joined": 1}


def test_an_edit_of_a_helper_reruns_the_tasks_that_use_it(pipeline: FlowFile) -> None:
    pipeline.replace("return text.upper()", "return text.lower()")
    assert pipeline.run().result("joined") == "abc"
    assert pipeline.calls == {"each-a": 1, "each-b": 1, "each-c": 1, "joined": 1}


def test_an_upstream_that_ran_again_to_the_same_value_reruns_nothing_behind_it(
    pipeline: FlowFile,
) -> None:
    pipeline.replace('did("items")', 'did("items2")')
    pipeline.run()
    assert pipeline.calls == {"items2": 1}


def test_force_reruns_everything_and_force_tasks_only_those(pipeline: FlowFile) -> None:
    pipeline.run(force=True)
    assert pipeline.calls == ALL
    pipeline.forget()
    pipeline.run(force_tasks=["joined"])
    assert pipeline.calls == {"joined": 1}


def test_a_task_without_cache_always_runs_and_is_never_reused(flow_file: Flows) -> None:
    flow = flow_file(
        """
        wf = Workflow("fresh")

        @wf.job(cache=False)
        def now() -> int:
            did("now")
            return 1

        @wf.job()
        def after(x: Annotated[int, Result(step="now")]) -> int:
            did("after")
            return x
        """
    )
    flow.run()
    flow.run()
    assert flow.calls == {"now": 2, "after": 1}
    flow.replace("@wf.job(cache=False)", "@wf.job()")
    flow.run()
    assert flow.calls["now"] == 3


def test_a_version_stands_for_the_source(flow_file: Flows) -> None:
    flow = flow_file(
        """
        wf = Workflow("versions")

        @wf.job(version="1")
        def work() -> str:
            did("work")
            return "first"
        """
    )
    flow.run()
    flow.replace('return "first"', 'return "second"')
    assert flow.run().result("work") == "first"
    flow.replace('version="1"', 'version="2"')
    assert flow.run().result("work") == "second"
    assert flow.calls == {"work": 2}


def test_a_failure_is_never_reused(flow_file: Flows) -> None:
    flow = flow_file(
        """
        wf = Workflow("fails")

        @wf.job(array=True)
        def each(x: Annotated[int, Result(step="items")]) -> int:
            did(f"each-{x}")
            if x == 1 and not Path("{here}/mended").exists():
                raise ValueError("not yet")
            return x

        @wf.job()
        def items() -> list[int]:
            return [0, 1, 2]
        """
    )
    run = flow.run()
    assert failed(run) == {("each", 1): ("ERROR", "ValueError: not yet")}
    (flow.folder / "mended").touch()
    assert flow.run().result("each") == [0, 1, 2]
    assert flow.calls == {"each-0": 1, "each-1": 2, "each-2": 1}


FILES = """
    wf = Workflow("files")

    @wf.job()
    def find(folder: Path) -> list[Path]:
        did("find")
        return sorted(folder.glob("*.in"))

    @wf.job(array=True, cache=True)
    def read(path: Annotated[Path, Result(step="find")]) -> str:
        did(f"read-{path.stem}")
        return path.read_text()
"""


def test_a_path_counts_by_the_file_it_leads_to(flow_file: Flows, tmp_path: Path) -> None:
    flow = flow_file(FILES)
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.in").write_text(name)
    assert flow.run(folder=folder).result("read") == ["a", "b"]
    flow.forget()
    assert flow.run(folder=folder).result("read") == ["a", "b"]
    assert flow.calls == {}
    # Same size, another time.
    (folder / "b.in").write_text("B")
    os.utime(folder / "b.in", ns=(0, 1_000_000_000))
    assert flow.run(folder=folder, force_tasks=["find"]).result("read") == ["a", "B"]
    assert flow.calls == {"find": 1, "read-b": 1}


LATE = """
    wf = Workflow("late")

    def read(path: Path, during: str) -> str:
        did("read")
        if Path("{here}", during).exists():
            path.write_text("B")
        os.chdir("/")
        return path.read_text()

    @wf.job()
    def find(file: Path) -> list[Path]:
        return [file]

    @wf.job(array=True)
    def wired(path: Annotated[Path, Result(step="find")]) -> str:
        return read(path, "wired")

    @wf.job(after=["wired"])
    def given(file: Path) -> str:
        return read(file, "given")
"""


@pytest.mark.parametrize("way", ["pool", "background"])
@pytest.mark.parametrize("task", ["wired", "given"])
def test_a_file_edited_after_it_was_planned_with_makes_no_result_for_what_it_was(
    flow_file: Flows, tmp_path: Path, way: str, task: str
) -> None:
    flow = flow_file(LATE)
    file = tmp_path / "some.in"

    def has(text: str) -> None:
        file.write_text(text)
        os.utime(file, ns=(0, 1_000_000_000))

    has("A")
    (tmp_path / task).touch()
    flow.run(way, file=file)
    (tmp_path / task).unlink()
    has("A")
    assert flow.run(way, file=file).result(task) in ("A", ["A"])
    # That was made of the file that it was planned with.
    flow.forget()
    flow.run(way, file=file)
    assert flow.calls == {}


def test_a_path_counts_anew_even_where_the_list_of_paths_came_from_the_cache(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(FILES)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.in").write_text("a")
    flow.run(folder=folder)
    (folder / "a.in").write_text("changed")
    assert flow.run(folder=folder).result("read") == ["changed"]


WRITES = """
    wf = Workflow("writes")

    def right(path: Path) -> bool:
        did("verify")
        return path.read_text() == "right"

    @wf.job(verify=right)
    def write() -> Path:
        did("write")
        path = Path("{here}/out.txt")
        path.write_text("right")
        return path

    @wf.job()
    def read(path: Annotated[Path, Result(step="write")]) -> str:
        did("read")
        return path.read_text()
"""


def test_a_result_whose_file_is_gone_is_made_again(flow_file: Flows, tmp_path: Path) -> None:
    flow = flow_file(WRITES)
    flow.run()
    (tmp_path / "out.txt").unlink()
    flow.forget()
    assert flow.run().result("read") == "right"
    assert flow.calls["write"] == 1


def test_verify_asks_the_task_itself_of_what_looks_unchanged(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(WRITES)
    flow.run()
    flow.run(verify=True)
    assert flow.calls == {"write": 1, "read": 1, "verify": 1}
    # As large and as old as it was: only the task's own check can tell.
    times = (tmp_path / "out.txt").stat()
    (tmp_path / "out.txt").write_text("wrong")
    os.utime(tmp_path / "out.txt", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert flow.run(verify=True).result("write").read_text() == "right"
    assert flow.calls["write"] == 2


def test_a_check_that_raises_makes_the_hit_a_miss(flow_file: Flows) -> None:
    flow = flow_file(
        """
        wf = Workflow("raises")

        def check(value: int) -> bool:
            raise RuntimeError("the check is broken")

        @wf.job(verify=check)
        def work() -> int:
            did("work")
            return 1
        """
    )
    flow.run()
    run = flow.run(verify=True)
    assert run.state == "SUCCESS"
    assert flow.calls == {"work": 2}


def test_a_result_that_cannot_be_read_any_more_is_a_miss_when_it_is_verified(
    flow_file: Flows,
) -> None:
    flow = flow_file(
        """
        wf = Workflow("renamed")

        @dataclass
        class Thing:
            x: int

        def check(value: object) -> bool:
            return True

        @wf.job(verify=check, version="1")
        def work() -> Thing:
            did("work")
            return Thing(1)
        """
    )
    flow.run()
    text = flow.path.read_text()
    flow.path.write_text(text.replace("Thing", "Other"))
    run = flow.run(verify=True)
    assert run.state == "SUCCESS", run.status(as_dict=True)
    assert flow.calls == {"work": 2}


def test_a_result_that_names_its_run_directory_is_reused_only_there(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(
        """
        wf = Workflow("bound")

        @wf.job()
        def text(run_dir: RunDir = RunDir()) -> str:
            did("text")
            return f"see {run_dir}/data"

        @wf.job()
        def free(run_dir: RunDir = RunDir()) -> str:
            did("free")
            return "anywhere"
        """
    )
    flow.run(run_dir=tmp_path / "one")
    assert flow.run(run_dir=tmp_path / "two").result("text") == f"see {tmp_path}/two/data"
    assert flow.calls == {"text": 2, "free": 1}
    flow.run(run_dir=tmp_path / "one")
    assert flow.calls == {"text": 2, "free": 1}


def test_a_task_behind_after_counts_by_what_it_waited_for(flow_file: Flows) -> None:
    flow = flow_file(
        """
        wf = Workflow("after")

        @wf.job()
        def first(x: int) -> None:
            did("first")

        @wf.job(after=["first"])
        def second() -> int:
            did("second")
            return 1
        """
    )
    flow.run(x=1)
    flow.run(x=1)
    assert flow.calls == {"first": 1, "second": 1}
    flow.run(x=2)
    assert flow.calls == {"first": 2, "second": 2}


def test_two_tasks_with_one_source_do_not_share_results(flow_file: Flows) -> None:
    flow = flow_file(
        """
        wf = Workflow("names")

        def work(x: int) -> int:
            did("work")
            return x

        wf.job(name="one")(work)
        wf.job(name="two")(work)
        """
    )
    flow.run(x=1)
    assert flow.calls == {"work": 2}


def test_a_function_edited_while_its_run_goes_on_leaves_nothing_under_the_new_key(
    flow_file: Flows, tmp_path: Path
) -> None:
    """The process that runs has the old function; a later one must not take its result."""
    flow = flow_file(
        """
        wf = Workflow("edited")

        @wf.job()
        def first() -> int:
            path = Path("{here}/flow.py")
            text = path.read_text()
            path.write_text(text.replace('"o' + 'ld"', '"n' + 'ew"'))
            return 1

        @wf.job()
        def second(x: Annotated[int, Result(step="first")]) -> str:
            did("second")
            return "old"
        """
    )
    flow.run("inline")
    assert '"new"' in flow.path.read_text()
    assert flow.run("inline").result("second") == "new"
    assert flow.calls == {"second": 2}
