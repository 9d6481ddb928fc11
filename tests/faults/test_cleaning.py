"""Cleaning up that is killed at any step, meets what it did not expect, or runs beside others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import DamagedRunError, ForeignRunError, NotFoundError, ReflowError
from reflow.model.cleaning import Extent
from reflow.model.records import RunRecord
from reflow.rundir.layout import RunLayout
from reflow.rundir.source_archive import freeze
from reflow.runs.cleaning import source_copies
from reflow.runs.cleaning.choose import Criteria, choose, interrupted, refusal
from reflow.runs.cleaning.clean import clean_run, sweep
from reflow.runs.cleaning.own_files import kept_below, remove_files
from reflow.runs.cleaning.source_copies import remove_unused_copies
from reflow.stores import orm
from reflow.stores.sql import SqlStore

from tests.e2e.fixtures import flow_file
from tests.e2e.support import FlowFile

__all__ = ["flow_file"]

FLOW = """
    import numpy as np

    wf = Workflow("tide")

    @wf.job()
    def heights(count: int = 3) -> list[int]:
        return list(range(count))

    @wf.job(array=True)
    def curve(x: Annotated[int, Result(step="heights")]) -> np.ndarray:
        print("measured")
        return np.full(200_000, x)

    @wf.job()
    def total(xs: Annotated[list[np.ndarray], Result(step="curve")]) -> float:
        return float(sum(x.sum() for x in xs))
"""
STEPS = ("os.remove", "os.rename", "os.rmdir")


@pytest.fixture
def flow(flow_file: Callable[..., FlowFile]) -> FlowFile:
    return flow_file(FLOW)


def own_files(run: Any) -> list[Path]:
    roots = (run.run_dir / ".reflow" / run.run_id, run.run_dir / "logs" / run.run_id)
    return [path for root in roots for path in root.rglob("*") if path.is_file()]


def there(store: Any, run_id: str) -> RunRecord | None:
    try:
        found: RunRecord = store.run(run_id)
    except NotFoundError:
        return None
    return found


# -- kills -----------------------------------------------------------------------------------
def kill_at(step: int, action: Callable[[], None]) -> bool:
    """Do something in a fork that is killed at its N-th step; tell whether it came to that."""
    pid = os.fork()
    if pid == 0:
        left = step

        def count() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        def heard(event: str, arguments: tuple[Any, ...]) -> None:
            if event in STEPS:
                count()

        def watched(handle: Any, statement: str, values: Any = ()) -> Any:
            if statement == "COMMIT":
                count()  # before it
            found = carry_out(handle, statement, values)
            if statement == "COMMIT":
                count()  # and right after it
            return found

        carry_out, orm.run_sql = orm.run_sql, watched
        sys.addaudithook(heard)
        try:
            action()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("extent", [Extent.RESULTS, Extent.RUN])
def test_the_next_cleaning_goes_on_where_one_was_killed(flow: FlowFile, extent: Extent) -> None:
    step, killed = 0, True
    while killed:
        first = flow.run(force=True, count=3)
        second = flow.run(count=2)  # takes two of the three curves over
        store, url = first.store, first.store.url
        record = store.run(first.run_id)
        store.close()

        def clean(url: str = url, record: RunRecord = record) -> None:
            clean_run(SqlStore(url), record, extent)

        killed = kill_at(step, clean)

        state = there(store, first.run_id)
        assert state is not None  # its results are in use
        if state.cleaned_at is None:
            assert first.result("total") == 200_000 * 3
        assert second.result("total") == 200_000
        for each in interrupted(store):
            assert refusal(store, each, named=False) is None
            clean_run(store, each, extent)
        if store.run(first.run_id).cleaned_at is None:
            clean_run(store, store.run(first.run_id), extent)
        assert interrupted(store) == []
        assert second.result("total") == 200_000
        kept = {path.suffix for path in own_files(first)}
        assert kept == {".json", ".npy"}
        assert len([path for path in own_files(first) if path.suffix == ".npy"]) == 2
        clean_run(store, store.run(second.run_id), Extent.RUN)
        clean_run(store, store.run(first.run_id), Extent.RUN)
        assert (there(store, first.run_id), there(store, second.run_id)) == (None, None)
        assert own_files(first) + own_files(second) == []
        step += 5
    assert step > 30


def test_runs_beside_it_have_right_results_whatever_is_removed(flow: FlowFile) -> None:
    flow.run(count=6)
    script = flow.folder / "again.py"
    script.write_text(
        "import sys, time\n"
        f"sys.path.insert(0, {str(flow.folder)!r})\n"
        f"from {flow.path.stem} import wf\n"
        "for number in range(25):\n"
        "    run = wf.run_local(count=6, max_workers=1)\n"
        "    assert run.result('total') == 200_000 * 15, number\n"
        "    assert [x[0] for x in run.result('curve')] == list(range(6)), number\n"
    )
    store = flow.run(count=6).store
    beside = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    cleaned = 0
    while beside.poll() is None:
        for record in choose(store, Criteria(keep_last=1), Extent.RUN):
            if refusal(store, record, named=False) is None:
                try:
                    clean_run(store, record, Extent.RUN)
                except ReflowError:
                    continue
                cleaned += 1
        sweep(store, [])
    assert beside.stderr is not None
    assert beside.returncode == 0, beside.stderr.read()
    beside.stderr.close()
    assert cleaned >= 10


# -- what must not be touched ----------------------------------------------------------------
@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder that no cleaning may touch."""
    folder = tmp_path / "outside"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "precious").write_text("precious")
    yield folder
    assert (folder / "deep" / "precious").read_text() == "precious"


@pytest.mark.parametrize("name", ["logs/RUN", "logs", ".reflow/RUN/scratch", ".reflow/RUN/waves"])
def test_no_link_is_followed(flow: FlowFile, outside: Path, name: str) -> None:
    run = flow.run(run_dir=flow.folder / "out")
    place = run.run_dir / name.replace("RUN", run.run_id)
    if place.exists():
        place.rename(flow.folder / "moved")
    place.symlink_to(outside)

    clean_run(run.store, run.store.run(run.run_id), Extent.RUN)

    assert (outside / "deep").is_dir()


def test_a_farm_of_links_is_removed_and_what_they_lead_to_stays(
    flow: FlowFile, outside: Path
) -> None:
    run = flow.run()
    farm = RunLayout(run.run_dir, run.run_id).root / "scratch" / "farm"
    farm.mkdir(parents=True)
    for number in range(500):
        (farm / f"link-{number}").symlink_to(outside)
    (farm / "loop").symlink_to(farm)
    os.link(outside / "deep" / "precious", farm / "hard")

    run.remove()

    assert not run.run_dir.exists()


def test_a_run_folder_that_is_a_link_is_nobodys(flow: FlowFile, outside: Path) -> None:
    run = flow.run()
    root = RunLayout(run.run_dir, run.run_id).root
    root.rename(outside / "moved")
    root.symlink_to(outside / "moved")

    with pytest.raises((ForeignRunError, DamagedRunError)):
        run.remove()

    assert (outside / "moved" / "run.json").exists()


@pytest.mark.parametrize("run_id", ["..", ".", "source", "latest", "a/../..", "", "x\0y"])
def test_ids_that_lead_elsewhere_are_refused(tmp_path: Path, run_id: str) -> None:
    for name in (".reflow/source", "logs/latest"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("")

    with pytest.raises(DamagedRunError, match="no id of a run"):
        remove_files(RunLayout(tmp_path, run_id), {})

    assert (tmp_path / ".reflow/source/file").exists()
    assert (tmp_path / "logs/latest/file").exists()


def test_a_row_that_names_a_folder_without_settings_removes_no_files(flow: FlowFile) -> None:
    run = flow.run()
    store, mine = run.store, flow.folder / "project"
    (mine / "logs" / "precious").mkdir(parents=True)
    (mine / "logs" / "precious" / "file").write_text("precious")
    forged = replace(store.run(run.run_id), run_id="precious", run_dir=mine)
    store.create_run(forged, [])

    clean_run(store, store.run("precious"), Extent.RUN)

    assert (mine / "logs" / "precious" / "file").exists()
    (mine / ".reflow" / "precious").mkdir(parents=True)
    (mine / ".reflow" / "precious" / "file").write_text("")
    store.create_run(forged, [])
    with pytest.raises(DamagedRunError, match="could be told whose"):
        clean_run(store, store.run("precious"), Extent.RUN)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_files_of_a_colleague_are_not_removed(flow: FlowFile) -> None:
    run = flow.run()
    root = RunLayout(run.run_dir, run.run_id).root
    os.chown(root, 12_345, -1)

    with pytest.raises(ForeignRunError, match="belongs to"):
        run.remove()

    assert own_files(run) != []
    assert run.store.run(run.run_id).cleaned_at is None


# -- many and odd files ----------------------------------------------------------------------
def test_a_hundred_thousand_files_are_removed(flow: FlowFile) -> None:
    run = flow.run()
    layout = RunLayout(run.run_dir, run.run_id)
    for block in range(100):
        folder = layout.logs / "many" / str(block)
        folder.mkdir(parents=True)
        for number in range(1_000):
            os.mknod(folder / f"{number}.1.log")
    began = time.monotonic()

    cleaned = clean_run(run.store, run.store.run(run.run_id), Extent.RUN)

    assert cleaned.files > 100_000
    assert not run.run_dir.exists()
    assert time.monotonic() - began < 60


def test_folders_of_any_depth_are_removed(flow: FlowFile) -> None:
    run = flow.run()
    here = Path.cwd()
    folder = RunLayout(run.run_dir, run.run_id).root / "scratch"
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    try:
        for _ in range(2_000):
            os.mkdir("below")  # noqa: PTH102
            os.chdir("below")
        Path("deepest").write_text("")
    finally:
        os.chdir(here)

    run.remove()

    assert not run.run_dir.exists()


def test_names_of_any_bytes_are_removed(flow: FlowFile) -> None:
    run = flow.run()
    folder = os.fsencode(RunLayout(run.run_dir, run.run_id).root)
    for name in (b"new\nline", b"\xff\xfe", b"-rf", b"*", b" ", b"\x1b[31m"):
        os.mkdir(folder + b"/" + name)  # noqa: PTH102
        os.close(os.open(folder + b"/" + name + b"/" + name, os.O_CREAT | os.O_WRONLY))

    run.remove()

    assert not run.run_dir.exists()


def test_folders_that_a_task_made_read_only_are_removed(flow: FlowFile) -> None:
    run = flow.run()
    folder = RunLayout(run.run_dir, run.run_id).root / "scratch" / "t" / "locked"
    folder.mkdir(parents=True)
    (folder / "file").write_text("")
    folder.chmod(0o500)

    run.remove()

    assert not run.run_dir.exists()


def test_what_cannot_be_removed_is_told_and_tried_again(
    flow: FlowFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = flow.run()
    unlink = os.unlink

    def denied(name: Any, **more: Any) -> None:
        if name == "dispatch.log" or str(name).endswith(".1.log"):
            raise PermissionError(13, "Permission denied", name)
        unlink(name, **more)

    monkeypatch.setattr(os, "unlink", denied)
    cleaned = clean_run(run.store, run.store.run(run.run_id), Extent.RUN)
    assert any("Permission denied" in told for told in cleaned.left)
    assert not cleaned.is_gone
    assert [each.run_id for each in interrupted(run.store)] == [run.run_id]
    monkeypatch.undo()

    cleaned = clean_run(run.store, run.store.run(run.run_id), Extent.RUN)

    assert cleaned.is_gone
    assert own_files(run) == []


def test_what_a_result_that_stays_refers_to_stays(
    flow_file: Callable[..., FlowFile],
) -> None:
    flow = flow_file("""
        from reflow import scratch_dir

        wf = Workflow("scratch")

        @wf.job()
        def make() -> Path:
            folder = scratch_dir()
            (folder / "kept").write_text("kept")
            return folder / "kept"

        @wf.job()
        def other() -> int:
            (scratch_dir() / "not kept").write_text("")
            return 1
    """)
    run = flow.run(run_dir=flow.folder / "out")

    clean_run(run.store, run.store.run(run.run_id), Extent.FILES)

    names = {path.name for path in own_files(run)}
    assert names == {"run.json", "kept"}
    flow.run(run_dir=flow.folder / "out")
    assert flow.calls == {}


def test_places_to_be_kept_are_found_under_links_too(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    real, link = tmp_path / "real", tmp_path / "link"
    expected = {"files": {"a": None}, "scratch": None}
    paths = [f"{real}/files/a", f"{link}/scratch", f"{link}/scratch/below", f"{tmp_path}/realistic"]
    assert kept_below(link, paths) == expected


# -- copies of source ------------------------------------------------------------------------
def old_copy(run_dir: Path, content: str) -> str:
    """Make a copy of source that looks as if made long ago; return its name."""
    module = run_dir / "module.py"
    module.write_text(content)
    folder = RunLayout(run_dir, "").copies
    name = freeze({str(module): "module"}, folder)
    os.utime(folder / f"{name}.zip", (1, 1))
    return name


def with_record(run_dir: Path, run_id: str, name: str) -> None:
    root = RunLayout(run_dir, run_id).root
    root.mkdir(parents=True)
    (root / "source-1.json").write_text(json.dumps({"copy": name}))


def test_copies_of_source_go_with_the_last_run_that_uses_them(tmp_path: Path) -> None:
    used, unused = old_copy(tmp_path, "A = 1"), old_copy(tmp_path, "A = 2")
    with_record(tmp_path, "run-1", used)

    remove_unused_copies(tmp_path)

    there = {path.name for path in RunLayout(tmp_path, "").copies.iterdir()}
    assert there == {f"{used}.zip"}
    assert unused != used


def test_a_copy_that_a_new_run_begins_to_use_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = old_copy(tmp_path, "A = 1")
    with_record(tmp_path, "run-1", "another")
    rename = source_copies._rename

    def claimed_first(folder: Path, *words: str) -> None:
        os.utime(folder / f"{name}.zip") if words[1:] == ("", source_copies._AWAY) else None
        rename(folder, *words)

    monkeypatch.setattr(source_copies, "_rename", claimed_first)
    remove_unused_copies(tmp_path)

    assert (RunLayout(tmp_path, "").copies / f"{name}.zip").exists()


def test_no_copy_goes_while_a_record_cannot_be_read(tmp_path: Path) -> None:
    name = old_copy(tmp_path, "A = 1")
    with_record(tmp_path, "run-1", "another")
    (RunLayout(tmp_path, "run-1").root / "source-2.json").write_text("{")

    remove_unused_copies(tmp_path)

    assert (RunLayout(tmp_path, "").copies / f"{name}.zip").exists()


def test_a_copy_that_was_renamed_before_a_kill_gets_its_name_back(tmp_path: Path) -> None:
    name = old_copy(tmp_path, "A = 1")
    folder = RunLayout(tmp_path, "").copies
    (folder / f"{name}.zip").rename(folder / f"{source_copies._AWAY}{name}.zip")
    with_record(tmp_path, "run-1", name)

    remove_unused_copies(tmp_path)

    assert (folder / f"{name}.zip").exists()
