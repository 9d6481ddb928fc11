from __future__ import annotations

from reflow.plugins.hookspecs import Finding
from reflow.report.installation import finding_lines


def test_a_finding_that_is_bad_is_told_in_full() -> None:
    finding = Finding(ok=False, text="the store cannot be opened: " + "do this " * 20)
    lines = finding_lines("store", finding, width=80)
    assert len(lines) > 2
    assert max(line.cell_len for line in lines) <= 80
