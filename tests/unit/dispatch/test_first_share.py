from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from reflow import Result, Workflow
from reflow.dispatch import submit
from reflow.model.records import SubmissionKind


def test_the_first_elements_of_a_large_array_run_before_the_others_are_prepared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(submit, "FIRST_SHARE", 3)
    wf, waves = Workflow("large"), []

    @wf.job()
    def items() -> list[int]:
        return list(range(10))

    @wf.job(array=True)
    def each(item: Annotated[int, Result(step="items")]) -> int:
        waves.append(len(list(tmp_path.glob(".reflow/*/waves/*"))))
        return item

    run = wf.run_local(run_dir=tmp_path, max_workers=1)

    assert run.result("each") == list(range(10))
    assert waves[0] == 2
    assert waves[-1] == 3
    submitted = wf.store.submissions(run.run_id, open_only=False)
    sizes = [each.size for each in submitted if each.task == "each"]
    assert sizes == [3, 7]
    assert all(each.kind is SubmissionKind.WAVE for each in submitted)


def test_an_array_whose_elements_together_are_limited_is_one_wave(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(submit, "FIRST_SHARE", 3)
    wf = Workflow("limited")

    @wf.job()
    def items() -> list[int]:
        return list(range(10))

    @wf.job(array=True, array_parallelism=2)
    def each(item: Annotated[int, Result(step="items")]) -> int:
        return item

    run = wf.run_local(run_dir=tmp_path, max_workers=1)

    submitted = wf.store.submissions(run.run_id, open_only=False)
    assert [each.size for each in submitted if each.task == "each"] == [10]


def test_what_comes_from_the_cache_is_taken_whatever_is_handed_over_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(submit, "FIRST_SHARE", 3)
    wf, journal = Workflow("grows"), tmp_path / "journal"

    @wf.job(cache=False)
    def items(count: int) -> list[int]:
        return list(range(count))

    @wf.job(array=True)
    def each(item: Annotated[int, Result(step="items")]) -> int:
        with journal.open("a") as file:
            file.write(f"{item}\n")
        return item

    wf.run_local(run_dir=tmp_path / "run", max_workers=1, count=20)
    run = wf.run_local(run_dir=tmp_path / "run", max_workers=1, count=30)

    assert run.result("each") == list(range(30))
    assert journal.read_text().split() == [str(item) for item in range(30)]
