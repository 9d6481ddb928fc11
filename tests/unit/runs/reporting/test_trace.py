"""The trace of a run, as spreadsheets and programs read it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from reflow.runs.reporting.trace import trace
from reflow.runs.reporting.trace_files import write_csv, write_json

from tests.unit.runs.reporting.recorded import RUN, failed, record, succeeded


def as_csv(folder: Path, *outcomes: object, **more: object) -> list[dict[str, str]]:
    store = record(folder, outcomes, **more)  # type: ignore[arg-type]
    file = io.StringIO(newline="")
    write_csv(trace(store, RUN), file)
    assert all(line.endswith("\r\n") for line in file.getvalue().splitlines(keepends=True))
    return list(csv.DictReader(io.StringIO(file.getvalue(), newline="")))


def test_every_attempt_has_a_line(tmp_path: Path) -> None:
    rows = as_csv(
        tmp_path,
        succeeded(0, 20.0, 25.0, attempt=2),
        earlier=[failed(0, "lost, it is", attempt=1)],
    )
    assert [(row["attempt"], row["state"], row["error"]) for row in rows] == [
        ("1", "FAILED", "lost, it is"),
        ("2", "SUCCESS", ""),
    ]
    assert rows[1]["waiting_seconds"] == "10.0"
    assert rows[1]["running_seconds"] == "5.0"
    assert rows[1]["started"] == "2026-11-22T08:00:20.000+00:00"
    assert rows[1]["asked_memory"] == ""


def test_a_text_that_a_spreadsheet_would_calculate_is_led_by_an_apostrophe(tmp_path: Path) -> None:
    (row,) = as_csv(tmp_path, failed(0, '=HYPERLINK("http://x", "y")', host="@host"))
    assert row["error"].startswith("'=HYPERLINK")
    assert row["host"] == "'@host"


def test_json_is_one_document_with_a_line_for_each_attempt(tmp_path: Path) -> None:
    store = record(tmp_path, [succeeded(0, 12.0, 15.0), failed(1, "bad")])
    file = io.StringIO()
    write_json(RUN, trace(store, RUN), file)
    data = json.loads(file.getvalue())
    assert (data["version"], data["run"]) == (1, RUN)
    assert [each["state"] for each in data["attempts"]] == ["SUCCESS", "FAILED"]
    assert len(file.getvalue().splitlines()) == 4
