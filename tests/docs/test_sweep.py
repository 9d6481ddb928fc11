"""The sweep example, as its page runs it, and what can be read back from it."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.docs.pages import REPOSITORY

FOLDER = REPOSITORY / "docs" / "examples" / "sweep"
RIDGES = ("--ridge", "0.1", "--ridge", "1000")


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example is found by its name, as from its folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    sys.modules.pop("sweep", None)


def run(*words: str) -> str:
    """What the example prints; it must succeed."""
    ended = subprocess.run(
        [sys.executable, str(FOLDER / "sweep.py"), "run", "--run-dir", "runs/sweep", *words],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "COLUMNS": "100"},
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def table(place: Path) -> dict[tuple[int, float], float]:
    """The error of each model, by its days and ridge."""
    rows = [line.split() for line in (place / "models.txt").read_text().splitlines()[1:-1]]
    return {(int(days), float(ridge)): float(error) for days, ridge, error, *_ in rows}


def test_every_model_is_tried_on_every_part_and_the_best_is_chosen(tmp_path: Path) -> None:
    printed = run("--look-back", "1", "--look-back", "4", *RIDGES)
    assert "30/30" not in printed
    assert "20/20" in printed
    errors = table(tmp_path / "runs" / "sweep")
    assert set(errors) == {(1, 0.1), (1, 1000.0), (4, 0.1), (4, 1000.0)}
    # Knowing four days is better than knowing one, and tomorrow is much like today.
    assert min(errors, key=errors.__getitem__) == (4, 0.1)
    assert all(2 < error < 2.5 for error in errors.values())


def test_a_model_that_is_added_is_all_that_is_tried_anew(tmp_path: Path) -> None:
    run("--look-back", "1", *RIDGES)
    printed = run("--look-back", "1", "--look-back", "2", *RIDGES)
    # The days, two lists of trials with their scores and sums, and the best model as it was.
    assert "16 of 32 results came from the cache" in printed


def test_the_best_model_is_read_back_with_its_array(tmp_path: Path, importable: None) -> None:
    from sweep import COLUMNS, Fitted, wf

    done = wf.run_local(run_dir=tmp_path / "here", look_back=[1, 4], ridge=[0.1], max_workers=1)
    best = done.result("fit")
    assert isinstance(best, Fitted)
    assert best.coefficients.dtype == np.float64
    assert best.coefficients.shape == (best.model.days * len(COLUMNS) + 1,)
    with (FOLDER.parent / "weather" / "data" / "seattle-weather.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[-best.model.days :]
    last = np.array([[float(row[name]) for name in COLUMNS] for row in rows])
    assert f"{best.predict(last):.1f} °C" in (tmp_path / "here" / "models.txt").read_text()
