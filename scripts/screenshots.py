"""Makes the pictures of reports that README and documentation show.

    .venv/bin/python scripts/screenshots.py [FOLDER]

It needs a Chromium, which `scripts/system_packages` installs. The run is that of the weather
example, with one reading spoilt, as in the README.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from reflow.report.page.render import write_page  # noqa: E402
from reflow.runs.reporting.collect import collect  # noqa: E402
from reflow.stores.sql import SqlStore  # noqa: E402

from scripts.browser import Browser, find_browser  # noqa: E402

WIDTH = 1280
READING = "2010/07/04 12:00,"


def main(folder: Path) -> None:
    """Write the pictures into a folder."""
    program = find_browser()
    if program is None:
        raise SystemExit("there is no Chromium here: scripts/system_packages installs one")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, Browser(program) as browser:
        page = make_report(Path(temporary))
        for name, dark in (("light", False), ("dark", True)):
            browser.open(page, width=WIDTH, dark=dark)
            # The top of the page, down to its timeline.
            end = browser.ask('document.querySelector("#timeline").getBoundingClientRect().bottom')
            browser.open(page, width=WIDTH, height=round(end) + 24, dark=dark)
            (folder / f"report-{name}.png").write_bytes(browser.picture())
            print(folder / f"report-{name}.png")


def make_report(folder: Path) -> Path:
    """Run the example in a folder, with one reading spoilt; return the page about it."""
    example = folder / "weather"
    shutil.copytree(ROOT / "docs" / "examples" / "weather", example)
    table = example / "data" / "seattle-temps.csv"
    lines = table.read_text().splitlines()
    spoilt = [f"{READING}n/a" if line.startswith(READING) else line for line in lines]
    table.write_text("\n".join(spoilt) + "\n")
    given = {name: value for name, value in os.environ.items() if not name.startswith("REFLOW_")}
    given |= {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
    flow = [sys.executable, str(example / "flow.py")]
    options = ["--run-dir", "runs/weather", "--on-error", "continue"]
    subprocess.run(
        [*flow, "run", *options], cwd=folder, env=given, check=False, stdout=subprocess.PIPE
    )
    store = SqlStore(str(folder / "state" / "reflow" / "manifest.db"))
    (run,) = store.list_runs()
    report = collect(store, run.run_id)
    store.close()
    head = replace(report.run, user="ada", host="login1", run_dir="/scratch/ada/weather")
    page = folder / "report.html"
    write_page(replace(report, run=head), page)
    return page


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images")
