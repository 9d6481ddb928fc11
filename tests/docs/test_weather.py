"""The weather example, as the README's first command runs it."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.docs.pages import REPOSITORY

FLOW = REPOSITORY / "docs" / "examples" / "weather" / "flow.py"


def run(*words: str) -> str:
    """What the example prints; it must succeed."""
    ended = subprocess.run(
        [sys.executable, str(FLOW), "run", "--run-dir", "runs/weather", *words],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "COLUMNS": "100"},
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The run directory."""
    return tmp_path / "runs" / "weather"


def test_the_table_has_a_row_for_each_station_and_month(place: Path) -> None:
    run()
    with (place / "temperatures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({(row["station"], row["month"]) for row in rows}) == len(rows) == 24
    [january] = [r for r in rows if (r["station"], r["month"]) == ("San Francisco", "1")]
    # 744 hours between 45.8 and 56.2 °F.
    assert january["hours"] == "744"
    assert (january["low"], january["high"]) == ("7.67", "13.44")


def test_the_picture_is_the_one_in_the_documentation(place: Path) -> None:
    run()
    picture = (place / "temperatures.svg").read_text()
    assert picture == (REPOSITORY / "docs" / "images" / "weather.svg").read_text()
    assert ET.fromstring(picture).tag.endswith("svg")


def test_it_ends_by_saying_where_table_and_picture_are(place: Path) -> None:
    printed = run()
    assert "runs/weather/temperatures.csv" in printed
    assert "runs/weather/temperatures.svg" in printed


def test_the_second_run_comes_from_the_cache_and_says_so(place: Path) -> None:
    run()
    before = (place / "temperatures.svg").stat().st_mtime_ns
    printed = run()
    assert "cache" in printed
    assert "runs/weather/temperatures.csv" in printed
    assert (place / "temperatures.svg").stat().st_mtime_ns == before


def test_the_flags_reach_the_tasks(place: Path) -> None:
    run("-u", "F", "--last-month", "2")
    text = (place / "temperatures.txt").read_text()
    assert text.startswith("Temperatures in °F")
    assert len(text.splitlines()) == 2 + 2 * 2


def test_once_a_spoilt_reading_is_mended_retry_runs_what_is_missing(
    tmp_path: Path, place: Path
) -> None:
    example = tmp_path / "weather"
    shutil.copytree(FLOW.parent, example, ignore=shutil.ignore_patterns("__pycache__"))
    readings = example / "data" / "seattle-temps.csv"
    good = readings.read_text()
    lines = good.splitlines()
    [spoilt] = [n for n, line in enumerate(lines) if line.startswith("2010/07/04 12:00,")]
    lines[spoilt] = "2010/07/04 12:00,n/a"
    readings.write_text("\n".join(lines) + "\n")
    words = [sys.executable, str(example / "flow.py")]
    command = [*words, "run", "--run-dir", str(place), "--on-error", "continue"]
    assert subprocess.run(command, check=False, timeout=60).returncode == 1
    assert not (place / "temperatures.csv").exists()

    readings.write_text(good)
    retried = subprocess.run(
        [*words, "retry", "latest"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "3 instances to be run again" in retried.stdout
    assert len((place / "temperatures.csv").read_text().splitlines()) == 1 + 24
