"""The totals at the end of a CI run."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import totals

PASSED = ""
FAILED = '<failure message="assert 1 == 2">x</failure>'
BROKEN = '<error message="failed on teardown">x</error>'
SKIPPED = '<skipped type="pytest.skip" message="needs root"/>'


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    return folder


def write(folder: Path, name: str, *cases: tuple[str, str]) -> None:
    """Write a report as pytest does."""
    inner = "".join(
        f'<testcase classname="tests.test_x" name="{test}" time="0.1">{what}</testcase>'
        for test, what in cases
    )
    (folder / f"{name}.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest">{inner}'
        "</testsuite></testsuites>"
    )


def summary(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = totals.main(folder)
    return code, capsys.readouterr().out.splitlines()


def test_the_last_line_is_about_all_suites(
    reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(reports, "all.1", ("test_a", PASSED), ("test_b", PASSED), ("test_c", SKIPPED))
    write(reports, "slurm.1", ("test_a", PASSED))
    code, lines = summary(reports, capsys)
    assert lines[-1] == "3 passed, 0 failed, 1 skipped"
    assert "slurm: 1 passed, 0 failed, 0 skipped" in lines
    assert code == 0


def test_one_failure_in_any_suite_fails_all(
    reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(reports, "all.1", ("test_a", PASSED), ("test_b", FAILED))
    write(reports, "slurm.1", ("test_a", PASSED))
    code, lines = summary(reports, capsys)
    assert lines[-1] == "2 passed, 1 failed, 0 skipped"
    assert "  failed: tests.test_x::test_b" in lines
    assert code == 1


@pytest.mark.parametrize("cases", [[], [("test_a", SKIPPED)]])
def test_where_nothing_passed_all_fails(
    reports: Path, capsys: pytest.CaptureFixture[str], cases: list[tuple[str, str]]
) -> None:
    write(reports, "all.1", *cases)
    code, lines = summary(reports, capsys)
    assert lines[-1] == f"0 passed, 0 failed, {len(cases)} skipped"
    assert code == 1


def test_no_report_at_all_fails(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary(reports, capsys) == (1, ["0 passed, 0 failed, 0 skipped"])


def test_what_passes_the_second_time_counts_once_and_is_named(
    reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(reports, "all.1", ("test_a", PASSED), ("test_b", FAILED), ("test_c", FAILED))
    write(reports, "all.2", ("test_b", PASSED), ("test_c", FAILED))
    code, lines = summary(reports, capsys)
    assert lines[-1] == "2 passed, 1 failed, 0 skipped"
    assert [text for text in lines if "flaky" in text and text.endswith("test_b")]
    assert not [text for text in lines if "flaky" in text and text.endswith("test_c")]
    assert code == 1


def test_a_test_that_passed_and_could_not_be_torn_down_failed(
    reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(reports, "all.1", ("test_a", PASSED), ("test_a", BROKEN))
    code, lines = summary(reports, capsys)
    assert lines[-1] == "0 passed, 1 failed, 0 skipped"
    assert code == 1
