"""Which runs are chosen to be cleaned up, and how their ages and sizes are told."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import ParameterError
from reflow.model.cleaning import Extent
from reflow.model.records import RunRecord
from reflow.model.states import RunState
from reflow.runs.cleaning.choose import Criteria, choose, refusal, time_before
from reflow.runs.cleaning.usage import RunUsage, Walk, age_of, ages, measure
from reflow.stores.sql import SqlStore

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def record(run_id: str, days: float = 0, **changes: Any) -> RunRecord:
    """A run that began and ended so many days ago."""
    when = NOW - timedelta(days=days)
    given: dict[str, Any] = {
        "run_id": run_id,
        "workflow": "tide",
        "state": RunState.SUCCESS,
        "run_dir": Path("/gone"),
        "created_at": when,
        "finished_at": when,
        "parameters": {},
        "uid": os.geteuid(),
    }
    return RunRecord(**given | changes)


def stored(tmp_path: Path, *records: RunRecord) -> SqlStore:
    store = SqlStore(f"sqlite://{tmp_path}/manifest.db")
    for each in records:
        store.create_run(each, [])
    return store


def ids(records: Sequence[RunRecord]) -> list[str]:
    return [each.run_id for each in records]


@pytest.mark.parametrize(
    ("text", "days"), [("30d", 30), ("12h", 0.5), ("2w", 14), ("1440m", 1), (" 3 d ", 3)]
)
def test_ages_are_counted_back_from_now(text: str, days: float) -> None:
    assert time_before(text, NOW) == NOW - timedelta(days=days)


def test_a_date_means_its_first_moment_here() -> None:
    assert time_before("2026-03-01", NOW) == datetime(2026, 3, 1).astimezone()


@pytest.mark.parametrize("text", ["", "30", "d", "30y", "-3d", "soon", "9999999999w"])
def test_what_is_neither_age_nor_date_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="write 30d, 12h or 2w"):
        time_before(text, NOW)


def test_runs_are_chosen_by_when_they_ended(tmp_path: Path) -> None:
    long = record("long", 40, finished_at=NOW)
    store = stored(tmp_path, record("old", 40), record("new", 2), long)
    assert ids(choose(store, Criteria(ended_before=NOW - timedelta(days=30)), Extent.FILES)) == [
        "old"
    ]


def test_a_run_of_the_future_is_new(tmp_path: Path) -> None:
    store = stored(tmp_path, record("ahead", -400), record("back", 40, finished_at=NOW))
    assert choose(store, Criteria(ended_before=NOW - timedelta(days=30)), Extent.FILES) == []
    assert age_of(record("ahead", -400), NOW) == "up to a week"


def test_the_newest_of_each_workflow_are_kept(tmp_path: Path) -> None:
    runs = [record(f"tide-{age}", age) for age in (1, 2, 3)]
    others = [record(f"ebb-{age}", age, workflow="ebb") for age in (1, 2)]
    store = stored(tmp_path, *runs, *others)
    chosen = choose(store, Criteria(keep_last=1), Extent.FILES)
    assert ids(chosen) == ["ebb-2", "tide-2", "tide-3"]
    chosen = choose(store, Criteria(keep_last=2, workflow="tide"), Extent.FILES)
    assert ids(chosen) == ["tide-3"]


def test_only_ended_runs_of_ones_own_are_chosen(tmp_path: Path) -> None:
    store = stored(
        tmp_path,
        record("running", 9, state=RunState.RUNNING, finished_at=None),
        record("failed", 9, state=RunState.FAILED),
        record("cancelled", 10, state=RunState.CANCELLED),
        record("done", 11),
        record("anothers", 9, uid=os.geteuid() + 1),
        record("unknown", 12, uid=None),
    )
    assert ids(choose(store, Criteria(), Extent.FILES)) == [
        "failed",
        "cancelled",
        "done",
        "unknown",
    ]
    assert ids(choose(store, Criteria(failed=True), Extent.FILES)) == ["failed", "cancelled"]


def test_a_cleaned_run_is_chosen_again_only_for_more(tmp_path: Path) -> None:
    cleaned = record("cleaned", 9, cleaned_at=NOW, extent=Extent.FILES)
    store = stored(tmp_path, cleaned, record("whole", 9))
    assert ids(choose(store, Criteria(), Extent.FILES)) == ["whole"]
    assert set(ids(choose(store, Criteria(), Extent.RESULTS))) == {"whole", "cleaned"}
    # It is not among the newest, of which so many are kept.
    assert ids(choose(store, Criteria(keep_last=1), Extent.FILES)) == []


def test_runs_below_one_that_may_be_retried_are_refused(tmp_path: Path) -> None:
    below = record("below", lineage="above/t/0,", run_dir=tmp_path)
    for number, state in enumerate((RunState.RUNNING, RunState.FAILED)):
        folder = tmp_path / str(number)
        folder.mkdir()
        store = stored(folder, below, record("above", state=state, run_dir=tmp_path))
        found = refusal(store, below, named=True)
        assert found is not None
        assert "above" in found.reason
    store = stored(tmp_path, below, record("above", run_dir=tmp_path))
    assert refusal(store, below, named=True) is None


def test_a_run_directory_that_is_not_there_is_for_rm_alone(tmp_path: Path) -> None:
    run = record("run", run_dir=tmp_path / "gone")
    store = stored(tmp_path, run)
    found = refusal(store, run, named=False)
    assert found is not None
    assert found.advice == "rm run"
    assert found.reason.startswith(f"its run directory {tmp_path}/gone is not there")
    assert "before" not in found.purpose
    assert refusal(store, run, named=True) is None


def with_files(tmp_path: Path, run_id: str, *names: str) -> RunRecord:
    for name in names:
        path = tmp_path / name.replace("RUN", run_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 10_000)
    return record(run_id, run_dir=tmp_path)


def test_files_are_told_by_what_they_hold(tmp_path: Path) -> None:
    run = with_files(
        tmp_path,
        "r",
        ".reflow/RUN/run.json",
        ".reflow/RUN/files/ab/abc.npy",
        "logs/RUN/t/0.1.log",
        "mine.txt",
    )
    size = Walk(float("inf")).size_of(run)
    assert size.files == 3
    assert size.values == size.logs == size.others > 0


def test_a_file_of_two_names_counts_once(tmp_path: Path) -> None:
    one = with_files(tmp_path, "one", ".reflow/RUN/files/a")
    two = with_files(tmp_path, "two", "logs/RUN/b")
    os.link(tmp_path / ".reflow/one/files/a", tmp_path / "logs/two/a")
    walk = Walk(float("inf"))
    first, second = walk.size_of(one), walk.size_of(two)
    assert first.total == second.total > 0


def test_links_are_not_followed(tmp_path: Path) -> None:
    run = with_files(tmp_path, "r", "logs/RUN/0.1.log", "elsewhere/large")
    (tmp_path / "logs" / "r" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".reflow").mkdir()
    (tmp_path / ".reflow" / "r").symlink_to(tmp_path / "elsewhere")
    size = Walk(float("inf")).size_of(run)
    assert (size.files, size.others) == (2, 0)


def test_a_walk_ends_in_time_and_tells_so(tmp_path: Path) -> None:
    run = with_files(tmp_path, "r", "logs/RUN/0.1.log")
    usage = measure(stored(tmp_path, run), [run], seconds=0)
    assert usage.not_looked_at == 1
    assert not usage.runs[0].size.is_whole


def test_folders_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = with_files(tmp_path, "r", "logs/RUN/t/0.1.log", "logs/RUN/u/0.1.log")
    scandir = os.scandir

    def denied(path: Any) -> Any:
        if str(path).endswith("/u"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    size = Walk(float("inf")).size_of(run)
    assert size.unreadable == [f"{tmp_path}/logs/r/u: Permission denied"]
    assert size.files == 1


def test_runs_are_grouped_by_age() -> None:
    runs = [
        RunUsage(record(str(age), age), Walk(0.0).size_of(record("x")), 0) for age in (1, 8, 99)
    ]
    groups = ages(runs, NOW)
    assert {name: len(group) for name, group in groups.items()} == {
        "up to a week": 1,
        "up to a month": 1,
        "older": 1,
    }
