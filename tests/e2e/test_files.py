"""What files and folders count by, on each way to run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reflow.fingerprint.files.look import Looks

from tests.e2e.fixtures import Way, in_process, in_process_and_by_jobs
from tests.e2e.support import FlowFile, fake_scheduler, run_by_jobs

Flows = Callable[..., FlowFile]


def notes(run: Any) -> list[str]:
    found: list[str] = run.status(as_dict=True)["notes"]
    return found


def write(path: Path, text: str) -> None:
    """Write a file that is newer than whatever was there."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if path.stat().st_mtime_ns <= before:
        os.utime(path, ns=(before + 10**6, before + 10**6))


# -- results -------------------------------------------------------------------------------------
STORE = """
    wf = Workflow("store")

    @wf.job()
    def convert(factor: int = 1) -> list[Path]:
        did("convert")
        folders = [Path("{here}/out/one.store"), Path("{here}/out/two.store")]
        for folder in folders:
            (folder / "c").mkdir(parents=True, exist_ok=True)
            (folder / "c" / "chunk").write_text(str(factor * 10))
        return folders

    @wf.job(array=True)
    def read(store: Annotated[Path, Result(step="convert")]) -> int:
        did("read")
        return int((store / "c" / "chunk").read_text())

    @wf.job()
    def total(
        numbers: Annotated[list[int], Result(step="read")],
        stores: Annotated[list[Path], Result(step="convert")],
    ) -> int:
        did("total")
        return sum(numbers) + len(stores)
"""


def test_folders_count_by_what_is_in_them(flow_file: Flows, way: Way, tmp_path: Path) -> None:
    flow = flow_file(STORE)
    assert way(flow).result("total") == 22
    flow.forget()
    assert way(flow).result("total") == 22
    assert flow.calls == {}
    assert way(flow, factor=2).result("total") == 42
    assert flow.calls == {"convert": 1, "read": 2, "total": 1}
    # What the first run had written is there no more.
    assert way(flow, factor=1).result("total") == 22
    flow.forget()
    (tmp_path / "out/two.store/c/chunk").unlink()
    assert way(flow, factor=1).result("total") == 22
    assert flow.calls == {"convert": 1, "read": 2, "total": 1}


CONTAINERS = """
    wf = Workflow("containers")

    class Pair(NamedTuple):
        path: Path
        number: int

    @dataclass
    class Made:
        paths: dict[str, list[Path]]
        pair: Pair

    @wf.job()
    def make(text: str) -> Made:
        did("make")
        for name in "abc":
            Path(f"{here}/{name}.txt").write_text(text)
        a, b, c = (Path(f"{here}/{name}.txt") for name in "abc")
        return Made({"x": [a, b]}, Pair(c, 1))

    @wf.job()
    def read(made: Annotated[Made, Result(step="make")]) -> str:
        did("read")
        return "".join(path.read_text() for path in [*made.paths["x"], made.pair.path])
"""


@pytest.mark.parametrize("changed", ["a.txt", "b.txt", "c.txt"])
def test_paths_within_values_count_too(flow_file: Flows, tmp_path: Path, changed: str) -> None:
    flow = flow_file(CONTAINERS)
    assert flow.run(text="1").result("read") == "111"
    assert flow.run(text="2").result("read") == "222"
    flow.forget()
    write(tmp_path / changed, "x")
    assert flow.run(text="2").result("read") == "222"
    assert flow.calls == {"make": 1, "read": 1}


def test_a_result_whose_file_cannot_be_read_any_more_is_a_miss(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(STORE)
    flow.run()
    flow.forget()
    # A link in a circle, whoever looks.
    shutil.rmtree(tmp_path / "out/one.store")
    (tmp_path / "out/one.store").symlink_to("one.store")
    run = flow.run()
    assert flow.calls["convert"] == 1
    assert run.state == "FAILED"  # as mkdir fails there


# -- parameters ----------------------------------------------------------------------------------
LISTING = """
    wf = Workflow("listing")

    @wf.job()
    def total(folder: Path) -> int:
        did("total")
        return sum(int(path.read_text()) for path in folder.glob("*.txt"))

    @wf.job(array=True)
    def each(
        name: Annotated[str, Result(step="names")], folder: Path
    ) -> str:
        did("each")
        return (folder / name).read_text()

    @wf.job()
    def names() -> list[str]:
        return ["a.txt"]
"""


@in_process
def test_a_parameter_counts_by_what_is_there_when_the_run_is_submitted(
    flow_file: Flows, way: Way, tmp_path: Path
) -> None:
    flow = flow_file(LISTING)
    data = tmp_path / "data"
    write(data / "a.txt", "1")
    assert way(flow, folder=data).result("total") == 1
    flow.forget()
    assert way(flow, folder=data).result("total") == 1
    assert flow.calls == {}
    write(data / "a.txt", "2")
    write(data / "b.txt", "5")
    run = way(flow, folder=data)
    assert (run.result("total"), run.result("each")) == (7, ["2"])


def test_equal_relative_paths_in_two_folders_are_two_inputs(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(LISTING)
    for name, text in (("one", "1"), ("two", "2")):
        write(tmp_path / name / "d" / "a.txt", text)
        os.utime(tmp_path / name / "d" / "a.txt", ns=(10**18, 10**18))
        monkeypatch.chdir(tmp_path / name)
        run = flow.run(folder="d", run_dir=tmp_path / "run")
        assert (run.result("total"), run.result("each")) == (int(text), [text])


def test_a_folder_is_looked_at_where_the_shell_says_that_it_is(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(LISTING)
    for name, text in (("one", "1"), ("two", "2")):
        write(tmp_path / name / "d" / "a.txt", text)
        os.utime(tmp_path / name / "d" / "a.txt", ns=(10**18, 10**18))
    link = tmp_path / "current"
    link.symlink_to("one")
    monkeypatch.setenv("PWD", str(link))
    monkeypatch.setenv("HOME", str(tmp_path))  # links of root count nowhere else
    monkeypatch.chdir(link)
    assert flow.run(folder="d", run_dir=tmp_path / "run").result("total") == 1
    # Whoever points `current` at other data means other data.
    link.unlink()
    link.symlink_to("two")
    monkeypatch.chdir(link)
    assert flow.run(folder="d", run_dir=tmp_path / "run").result("total") == 2


@pytest.mark.parametrize("place", ["run", ".", "run/data"])
def test_a_folder_with_run_directories_and_the_store_in_it_is_stable(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    flow = flow_file(LISTING)
    work = tmp_path / "work"
    write(work / place / "a.txt", "1")
    monkeypatch.chdir(work)
    monkeypatch.setenv("REFLOW_STORE", str(work / "manifest.db"))
    for _ in range(2):
        for run_dir in (work / "run", None):
            run = flow.run(folder=work / place, run_dir=run_dir)
            assert run.result("each") == ["1"]
            assert notes(run) == []
    assert flow.calls == {"total": 1, "each": 1}


# -- tasks that change what they are given -------------------------------------------------------
IN_PLACE = """
    wf = Workflow("in_place")

    @wf.job()
    def base() -> Path:
        did("base")
        path = Path("{here}/data.txt")
        path.write_text("1 ")
        return path

    @wf.job()
    def add(path: Annotated[Path, Result(step="base")]) -> Path:
        did("add")
        with path.open("a") as file:
            file.write("2 ")
        return path

    @wf.job()
    def total(path: Annotated[Path, Result(step="add")]) -> int:
        did("total")
        return sum(map(int, path.read_text().split()))
"""


@in_process_and_by_jobs
def test_a_task_that_changes_its_argument_is_not_cached_and_the_run_says_so(
    flow_file: Flows, way: Way
) -> None:
    flow = flow_file(IN_PLACE)
    for number in (1, 2, 3):
        run = way(flow)
        assert run.result("total") == 3
        (note,) = notes(run)
        for word in ("'add'", "'base'", "path", "Result(step='base', output=True)"):
            assert word in note
        assert flow.calls == {"base": number, "add": number, "total": number}


OUTPUTS = """
    wf = Workflow("outputs")

    @wf.job()
    def names(count: int = 2) -> list[Path]:
        return [Path(f"{here}/out/{number}.txt") for number in range(count)]

    @wf.job(array=True)
    def fill(out: Annotated[Path, Result(step="names", output=True)], text: str) -> int:
        did("fill")
        out.parent.mkdir(exist_ok=True)
        out.write_text(text)
        return len(text)

    @wf.job()
    def report(
        out: Annotated[Path, Param(output=True)],
        sizes: Annotated[list[int], Result(step="fill")],
    ) -> None:
        did("report")
        with out.open("a") as file:
            file.write(f"{sizes}\\n")
"""


@in_process_and_by_jobs
def test_what_a_task_writes_to_counts_by_its_place_and_must_be_as_it_left_it(
    flow_file: Flows, way: Way, tmp_path: Path
) -> None:
    flow = flow_file(OUTPUTS)
    out = tmp_path / "report.txt"
    for _ in range(2):
        run = way(flow, out=out, text="x")
        assert run.result("fill") == [1, 1]
        assert not [note for note in notes(run) if "fill" in note or "report" in note]
        assert flow.calls == {"fill": 2, "report": 1}
    out.unlink()
    (tmp_path / "out/1.txt").write_text("spoilt")
    way(flow, out=out, text="x")
    assert out.read_text() == "[1, 1]\n"
    assert (tmp_path / "out/1.txt").read_text() == "x"
    assert flow.calls == {"fill": 3, "report": 2}
    way(flow, out=tmp_path / "other.txt", text="x")
    assert flow.calls == {"fill": 3, "report": 3}


FOR_ALL = """
    wf = Workflow("for all")

    @wf.job()
    def count(n: int = 2) -> list[int]:
        return list(range(n))

    @wf.job(array=True)
    def plot(
        item: Annotated[int, Result(step="count")],
        out: Annotated[Path, Param(output=True)] = Path("{here}/plots"),
    ) -> None:
        did(f"plot-{item}")
        out.mkdir(exist_ok=True)
        (out / f"{item}.png").write_text("x")

    @wf.job(after=["plot"])
    def index(out: Annotated[Path, Param(output=True)] = Path("{here}/plots")) -> Path:
        did("index")
        (out / "index").write_text("x")
        return out / "index"
"""


@in_process
def test_a_folder_that_many_write_to_must_be_there(
    flow_file: Flows, way: Way, tmp_path: Path
) -> None:
    flow = flow_file(FOR_ALL)
    way(flow)
    way(flow)
    assert flow.calls == {"plot-0": 1, "plot-1": 1, "index": 1}
    way(flow, n=3)
    assert flow.calls == {"plot-0": 1, "plot-1": 1, "plot-2": 1, "index": 2}
    shutil.rmtree(tmp_path / "plots")
    way(flow, n=3)
    assert flow.calls == {"plot-0": 2, "plot-1": 2, "plot-2": 2, "index": 3}
    (tmp_path / "plots/index").unlink()  # which is returned as well
    way(flow, n=3)
    assert flow.calls == {"plot-0": 2, "plot-1": 2, "plot-2": 2, "index": 4}


ONE_INSIDE_ANOTHER = """
    wf = Workflow("one inside another")

    @wf.job()
    def where() -> Path:
        return Path("{here}/out")

    @wf.job()
    def table(
        out: Annotated[Path, Result(step="where", output=True)],
        tables: Annotated[Path, Param(output=True)] = Path("{here}/results"),
    ) -> int:
        did("table")
        for folder in (out, tables):
            folder.mkdir(exist_ok=True)
            (folder / "table").write_text("x")
        return 1

    @wf.job()
    def plot(
        number: Annotated[int, Result(step="table")],
        out: Annotated[Path, Result(step="where", output=True)],
        plots: Annotated[Path, Param(output=True)] = Path("{here}/results/plots"),
    ) -> None:
        did("plot")
        plots.mkdir(exist_ok=True)
        for folder in (out, plots):
            (folder / "plot").write_text("x")
"""


def test_tasks_that_write_into_each_others_folders_do_not_run_each_other_again(
    flow_file: Flows,
) -> None:
    flow = flow_file(ONE_INSIDE_ANOTHER)
    flow.run()
    flow.forget()
    flow.run()  # `where` returned a folder that was not there yet
    flow.run()
    assert flow.calls == {}


SHARED = """
    wf = Workflow("shared")

    @wf.job()
    def items() -> list[int]:
        return [1, 2]

    @wf.job()
    def table() -> Path:
        path = Path("{here}/table")
        path.mkdir(exist_ok=True)
        (path / "rows").write_text("10")
        return path

    @wf.job(array=True)
    def each(
        item: Annotated[int, Result(step="items")],
        table: Annotated[Path, Result(step="table", broadcast=True)],
    ) -> int:
        did(f"each-{item}")
        number = item * int((table / "rows").read_text())
        if Path("{here}/spoil").exists():
            (table / f"new-{item}").touch()
        return number
"""


@in_process_and_by_jobs
def test_what_elements_share_is_looked_at_when_all_have_ended(
    flow_file: Flows, way: Way, tmp_path: Path
) -> None:
    flow = flow_file(SHARED)
    (tmp_path / "spoil").touch()
    run = way(flow)
    assert run.result("each") == [10, 20]
    (note,) = notes(run)
    for word in ("'each'", "'table'", "table"):
        assert word in note
    (tmp_path / "spoil").unlink()
    shutil.rmtree(tmp_path / "table")
    for _ in range(2):
        run = way(flow)
        assert run.result("each") == [10, 20]
        assert notes(run) == []
    assert flow.calls == {"each-1": 2, "each-2": 2}


# -- rules ---------------------------------------------------------------------------------------
def test_where_being_there_is_enough_a_change_is_none(flow_file: Flows, tmp_path: Path) -> None:
    flow = flow_file(LISTING)
    write(tmp_path / "data/a.txt", "1")
    assert flow.run(folder=tmp_path / "data", files="exists").result("total") == 1
    write(tmp_path / "data/a.txt", "2")
    assert flow.run(folder=tmp_path / "data", files="exists").result("total") == 1
    assert flow.run(folder=tmp_path / "data").result("total") == 2
    shutil.rmtree(tmp_path / "data")
    assert flow.run(folder=tmp_path / "data", files="exists").result("total") == 0


def test_a_task_may_have_a_rule_of_its_own(flow_file: Flows, tmp_path: Path) -> None:
    flow = flow_file(
        LISTING.replace("@wf.job()\n    def total", '@wf.job(files="exists")\n    def total')
    )
    write(tmp_path / "data/a.txt", "1")
    flow.run(folder=tmp_path / "data")
    write(tmp_path / "data/a.txt", "2")
    run = flow.run(folder=tmp_path / "data")
    assert (run.result("total"), run.result("each")) == (1, ["2"])


@in_process
def test_what_was_made_anew_is_read_anew_where_being_there_is_enough(
    flow_file: Flows, way: Way
) -> None:
    flow = flow_file(STORE.replace("wf.job()", 'wf.job(files="exists")', 1))
    assert way(flow, factor=1).result("total") == 22
    assert way(flow, factor=2).result("total") == 42
    flow.forget()
    assert way(flow, factor=2).result("total") == 42
    assert flow.calls == {}


def test_another_rule_misses_once(flow_file: Flows) -> None:
    flow = flow_file(STORE)
    for mode in ("stat", "exists", "exists"):
        flow.run(files=mode)
    assert flow.calls == {"convert": 2, "read": 4, "total": 2}


def test_what_is_ignored_in_folders_does_not_count(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_CACHE_IGNORE", "*.lock")
    flow = flow_file(LISTING)
    write(tmp_path / "data/a.txt", "1")
    flow.run(folder=tmp_path / "data")
    (tmp_path / "data/x.lock").touch()
    flow.run(folder=tmp_path / "data")
    assert flow.calls == {"total": 1, "each": 1}


LATE = """
    wf = Workflow("late")

    @wf.job()
    def make() -> list[Path]:
        path = Path("{here}/made.txt")
        path.write_text("made")
        return [path]

    @wf.job()
    def hide(paths: Annotated[list[Path], Result(step="make", output=True)]) -> None:
        os.rename("{here}/made.txt", "{here}/hidden.txt")
        if not os.fork():
            time.sleep({after})
            os.rename("{here}/hidden.txt", "{here}/made.txt")
            os._exit(0)

    @wf.job(array=True, after="hide")
    def read(path: Annotated[Path, Result(step="make")]) -> str:
        did("read")
        return path.read_text() if path.exists() else "nothing"
"""


@pytest.mark.parametrize(("after", "seen"), [("0.5", "made"), ("30", "nothing")])
def test_a_worker_waits_a_little_for_what_is_late(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch, after: str, seen: str
) -> None:
    monkeypatch.setenv("REFLOW_FILES_LATENCY", "10" if seen == "made" else "0.3")
    flow = flow_file(LATE.replace("{after}", after))
    run = flow.run("pool")
    assert run.result("read") == [seen]
    if seen == "nothing":
        (note,) = notes(run)
        assert "path of 'read' was not as 'make' had left it when the call began" in note


# -- Ctrl-C --------------------------------------------------------------------------------------
def interrupt(*given: Any, **named: Any) -> Any:
    raise KeyboardInterrupt


def test_ctrl_c_during_the_look_at_parameters_leaves_nothing(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = flow_file(LISTING).load()
    write(tmp_path / "data/a.txt", "1")
    monkeypatch.setattr(Looks, "state", interrupt)
    with pytest.raises(KeyboardInterrupt):
        workflow.submit(executor="local", folder=tmp_path / "data", run_dir=tmp_path / "run")
    assert workflow.store.list_runs() == []
    assert not (tmp_path / "run").exists()


def test_ctrl_c_during_the_look_at_results_leaves_no_run_that_goes_on(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_scheduler("slurm", tmp_path, monkeypatch) as slurm:
        flow = flow_file(STORE)
        run_by_jobs(flow)
        slurm.wait_until_idle()
        workflow = flow.load()
        state = Looks.state

        def interrupted_once_recorded(looks: Looks, *given: Any) -> Any:
            if len(workflow.store.list_runs()) > 1:
                raise KeyboardInterrupt
            return state(looks, *given)

        monkeypatch.setattr(Looks, "state", interrupted_once_recorded)
        with pytest.raises(KeyboardInterrupt):
            workflow.submit(executor="slurm")
        record = workflow.store.list_runs()[0]
        assert (record.state, record.message) == ("CANCELLED", "interrupted")
        slurm.wait_until_idle()


def test_ctrl_c_before_anything_is_recorded_leaves_nothing(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_scheduler("slurm", tmp_path, monkeypatch) as slurm:
        flow = flow_file(STORE)
        run_by_jobs(flow)
        slurm.wait_until_idle()
        workflow = flow.load()
        monkeypatch.setattr(Looks, "state", interrupt)
        with pytest.raises(KeyboardInterrupt):
            workflow.submit(executor="slurm")
        # It ends while it looks whether there is anything to submit: nothing is recorded yet.
        assert [record.state for record in workflow.store.list_runs()] == ["SUCCESS"]
        slurm.wait_until_idle()
