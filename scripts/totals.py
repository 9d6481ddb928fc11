#!/usr/bin/env python3
"""Sum up the test suites of a CI run: one line each, and one over all of them.

Usage: scripts/totals.py FOLDER

The folder holds what `pytest --junitxml` wrote: `SUITE.1.xml`, and `SUITE.2.xml` where tests of the
suite that had failed were run once more. Exits with 1 where any test failed or none passed.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

WORST_FIRST = ("failed", "passed", "skipped")


@dataclass
class Suite:
    """What became of each test of a suite, in the order of its reports."""

    outcomes: dict[str, str] = field(default_factory=dict)
    flaky: set[str] = field(default_factory=set)
    """Tests that failed first and passed when they were run once more."""

    def add(self, report: dict[str, str]) -> None:
        """Let a later report count more than those before it."""
        self.flaky |= {
            test
            for test, outcome in report.items()
            if outcome == "passed" and self.outcomes.get(test) == "failed"
        }
        self.outcomes |= report


def read(path: Path) -> dict[str, str]:
    """Read the outcome of each test of one report."""
    found: dict[str, str] = {}
    for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314
        test = f"{case.get('classname')}::{case.get('name')}"
        outcomes = {found.get(test), _outcome(case)}
        found[test] = next(outcome for outcome in WORST_FIRST if outcome in outcomes)
    return found


def _outcome(case: ElementTree.Element) -> str:
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in kinds else "passed"


def suites(folder: Path) -> dict[str, Suite]:
    """Read all reports of a folder, by the name of their suite."""
    found: dict[str, Suite] = {}
    for path in sorted(folder.glob("*.xml")):
        name = path.name.split(".")[0]
        found.setdefault(name, Suite()).add(read(path))
    return found


def line(outcomes: Counter[str]) -> str:
    """Say how many tests passed, failed and were skipped."""
    return ", ".join(f"{outcomes[kind]} {kind}" for kind in ("passed", "failed", "skipped"))


def main(folder: Path) -> int:
    """Print the totals; the last line is the one over all suites."""
    total: Counter[str] = Counter()
    for name, suite in suites(folder).items():
        counts = Counter(suite.outcomes.values())
        total += counts
        print(f"{name}: {line(counts)}")
        for test, outcome in suite.outcomes.items():
            if outcome == "failed":
                print(f"  failed: {test}")
            elif test in suite.flaky:
                print(f"  flaky, passed when it was run once more and alone: {test}")
    print(line(total))
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
