"""What workers publish, and how it is read back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reflow.model.outcomes import Outcome
from reflow.model.states import FailureCause, TaskState
from reflow.rundir.layout import WaveLayout
from reflow.rundir.results import ResultReader, ResultRecord, SegmentWriter, publish

RECORD = ResultRecord(
    position=3,
    outcome=Outcome(
        task="each",
        index=7,
        attempt=2,
        state=TaskState.FAILED,
        cause=FailureCause.SIGNAL,
        error="killed",
        started_at=1.5,
        ended_at=2.5,
    ),
    notes=(("argument x", "it is changed"),),
)


def test_a_record_comes_back_as_it_was_published() -> None:
    assert ResultRecord.parse(RECORD.line()) == RECORD


def test_a_record_of_an_older_reflow_is_read_with_defaults_for_what_it_lacks() -> None:
    older = json.loads(RECORD.line())[:4]
    record = ResultRecord.parse(json.dumps(older).encode())
    assert (record.outcome.error, record.notes) == ("killed", ())


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_a_record_that_lacks_what_every_version_has_is_no_record(cut: int) -> None:
    with pytest.raises(ValueError, match="not a result record"):
        ResultRecord.parse(json.dumps(json.loads(RECORD.line())[:cut]).encode())


WELL = replace(
    RECORD, outcome=replace(RECORD.outcome, state=TaskState.SUCCESS, cause=None, output="7")
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("output", None),
        ("output", "{half"),
        ("output", 7),
        ("paths", "[half"),
        ("attempt", "2"),
        ("index", None),
        ("error", None),
        ("started_at", "yesterday"),
        ("peak_memory", "much"),
        ("log", ["a", "list"]),
        ("state", TaskState.RUNNING),
    ],
)
def test_a_result_that_no_worker_has_written_so_is_none(field: str, value: Any) -> None:
    assert ResultRecord.parse(WELL.line()) == WELL
    foreign = replace(WELL, outcome=replace(WELL.outcome, **{field: value}))
    with pytest.raises(ValueError, match=r"cannot be|without a|Expecting"):
        ResultRecord.parse(foreign.line())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("notes", (("three", "texts", "here"),)),
        ("notes", (("a", 1),)),
        ("notes", ("text",)),
        ("interrupted", "no"),
        ("confirmed", None),
    ],
)
def test_what_no_worker_says_of_a_result_makes_it_none(field: str, value: Any) -> None:
    foreign = replace(WELL, **{field: value})
    with pytest.raises(ValueError, match="cannot be"):
        ResultRecord.parse(foreign.line())


@pytest.fixture
def layout(tmp_path: Path) -> WaveLayout:
    (tmp_path / "0" / "results").mkdir(parents=True)
    return WaveLayout(tmp_path / "0")


@pytest.fixture
def writer(layout: WaveLayout) -> Iterator[SegmentWriter]:
    writer = SegmentWriter(layout, "pool-24-0")
    yield writer
    writer.close()


def result(position: int, **changes: object) -> ResultRecord:
    outcome = replace(RECORD.outcome, **changes)  # type: ignore[arg-type]
    return replace(RECORD, position=position, outcome=outcome)


def positions(reader: ResultReader) -> list[int]:
    return sorted(record.position for record in reader.new())


def test_a_line_that_is_nested_too_deeply_to_be_read_counts_as_none(
    layout: WaveLayout, writer: SegmentWriter
) -> None:
    writer.append(result(0, output="[" * 100_000))
    writer.append(result(1))
    writer.flush()
    assert positions(ResultReader(layout)) == [1]


def segment(layout: WaveLayout) -> Path:
    (path,) = layout.results.glob("*.segment")
    return path


def test_a_wave_that_nobody_has_begun_has_no_results(layout: WaveLayout) -> None:
    assert positions(ResultReader(layout)) == []


def test_each_result_is_read_once_whether_it_has_a_file_of_its_own_or_a_line(
    layout: WaveLayout, writer: SegmentWriter
) -> None:
    reader = ResultReader(layout)
    publish(layout, result(0), "0")
    writer.append(result(1))
    writer.flush()
    assert positions(reader) == [0, 1]
    publish(layout, result(1500), "0")
    writer.append(result(2))
    writer.append(result(3))
    writer.flush()
    assert positions(reader) == [2, 3, 1500]
    assert positions(reader) == []
    assert positions(ResultReader(layout)) == [0, 1, 2, 3, 1500]


def test_a_block_without_a_wanted_position_is_not_listed_again(
    layout: WaveLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {0, 1, 1500}
    reader = ResultReader(layout, wanted)
    for position in (0, 1):
        publish(layout, result(position), "0")
        for record in reader.new():
            wanted.discard(record.position)
    listed: list[str] = []
    scan = os.scandir

    def scandir(path: str) -> Iterator[os.DirEntry[str]]:
        listed.append(Path(path).name)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    publish(layout, result(1500), "0")

    assert positions(reader) == [1500]
    assert listed == ["results", "1"]


def test_what_was_not_flushed_is_not_read(layout: WaveLayout, writer: SegmentWriter) -> None:
    writer.append(result(0))
    assert positions(ResultReader(layout)) == []


def test_a_later_result_of_one_attempt_and_life_does_not_replace_the_first(
    layout: WaveLayout,
) -> None:
    publish(layout, result(0, error="first"), "0")
    publish(layout, result(0, error="second"), "0")
    publish(layout, result(0, error="of another life"), "1")
    errors = {record.outcome.error for record in ResultReader(layout).new()}
    assert errors == {"first", "of another life"}


def test_half_a_line_is_read_once_its_other_half_is_there(
    layout: WaveLayout, writer: SegmentWriter
) -> None:
    writer.append(result(0))
    writer.append(result(1))
    writer.flush()
    path, reader = segment(layout), ResultReader(layout)
    whole = path.read_bytes()
    os.truncate(path, len(whole) - 10)
    assert positions(reader) == [0]
    path.write_bytes(whole)
    assert positions(reader) == [1]


@pytest.mark.parametrize("known", [True, False])
def test_results_after_a_line_that_was_cut_are_not_lost(layout: WaveLayout, known: bool) -> None:
    """A worker was killed in the middle of a write, and another of its name came after it."""
    reader = ResultReader(layout)
    first = SegmentWriter(layout, "inline-24")
    first.append(result(0))
    first.append(result(1))
    first.flush()
    first.close()
    os.truncate(segment(layout), segment(layout).stat().st_size - 10)
    seen = positions(reader) if known else []
    second = SegmentWriter(layout, "inline-24")
    second.append(result(2))
    second.flush()
    second.close()
    assert seen + positions(reader) == [0, 2]


def test_nothing_is_lost_where_the_disk_was_full_in_the_middle_of_a_line(
    layout: WaveLayout, writer: SegmentWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def write_some(descriptor: int, data: memoryview) -> int:
        if len(data) <= 10:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:-10])

    writer.append(result(0))
    with monkeypatch.context() as full:
        full.setattr(os, "write", write_some)
        with pytest.raises(OSError, match="No space"):
            writer.flush()
    writer.append(result(1))
    writer.flush()
    assert positions(ResultReader(layout)) == [0, 1]


@pytest.mark.parametrize(
    "text",
    ["", "\n", "{}\n", "[1, 2]\n", "\x00\x00\n", "not JSON\n", f"{[0] * 19}\n", f"{[[]] * 19}\n"],
)
def test_what_is_no_result_is_passed_over(
    layout: WaveLayout, writer: SegmentWriter, text: str
) -> None:
    with segment(layout).open("a") as file:
        file.write(text)
    (layout.results / "0").mkdir()
    (layout.results / "0" / "5.1.0.json").write_text(text)
    (layout.results / "0" / ".6.1.0.json.99").write_bytes(RECORD.line())
    (layout.results / "README").write_text(text)
    writer.append(result(0))
    writer.flush()
    assert positions(ResultReader(layout)) == [0]


def test_results_of_positions_that_are_settled_are_not_read(
    layout: WaveLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    for position in range(3):
        publish(layout, result(position), "job")
    read: list[str] = []

    def read_bytes(path: str) -> bytes:
        read.append(Path(path).name.partition(".")[0])
        return Path(path).read_bytes()

    monkeypatch.setattr("reflow.rundir.results.read_bytes", read_bytes)
    assert positions(ResultReader(layout, {0, 2})) == [0, 2]
    assert sorted(read) == ["0", "2"]
