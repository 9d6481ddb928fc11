"""What reaches a terminal."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from reflow.cli import main as console
from reflow.report.screen import put_json

from tests.unit.runs.reporting.recorded import RUN, failed, record

ERROR = "bad\x1b]0;a title\x07 \x9b31m"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("form", ["--csv", "--json"])
def test_a_trace_does_nothing_to_the_terminal_that_it_is_printed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    store = record(tmp_path, [failed(0, ERROR)])
    for out in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(SystemExit):
            console.main(("trace", RUN, form, "--store", str(store.url)))
        raw = "\x1b" in out.getvalue() or "\r" in out.getvalue()
        assert raw == (form == "--csv" and not out.isatty())
        assert "a title" in out.getvalue()


def test_json_has_no_control_characters_and_the_same_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    put_json({"error": ERROR})
    printed = capsys.readouterr().out
    assert printed.replace("\n", "").isprintable()
    assert json.loads(printed) == {"error": ERROR}
