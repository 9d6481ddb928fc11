"""Writes docs/images/watch.svg: the view of `status --watch`, drawn from a run that is made up.

The lines are those that the view itself makes; only the run is not real, so that the picture is the
same wherever it is made.
"""

from __future__ import annotations

import io
import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reflow.model.records import FailedInstance
from reflow.model.states import FailureCause
from reflow.report.watch.state import begin, press, with_look
from reflow.report.watch.view import Size, view
from reflow.runs.watching.glance import Glance, Pace
from rich.console import Console

IMAGE = Path(__file__).parents[1] / "docs" / "images" / "watch.svg"
SIZE = Size(84, 20)
RUN_ID = "climate-20261122-5a69"
NOW = datetime(2026, 11, 22, 10, 12, 40, tzinfo=UTC)

_FONT_FACES = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Fonts that a browser would fetch from another site."""


def task(state: str, size: int | None = 1, **more: Any) -> dict[str, Any]:
    """Return a task of a status; its counts are named in capitals."""
    counts = {name: number for name, number in more.items() if name.isupper()}
    others = {name: value for name, value in more.items() if not name.isupper()}
    return {"state": state, "array": size != 1, "size": size, "counts": counts, **others}


def failed(index: int, cause: FailureCause, error: str) -> FailedInstance:
    """Return a failed element of `regrid`."""
    return FailedInstance(
        task="regrid",
        index=index,
        cause=cause,
        error=error,
        traceback="",
        log="",
        job_id="",
        attempt=1,
    )


def glance() -> Glance:
    """Return a look at a run on a cluster in which much is going on."""
    missing = "FileNotFoundError: /data/era5/1958-{}.nc"
    return Glance(
        at=NOW,
        status={
            "run": {
                "run_id": RUN_ID,
                "workflow": "climate",
                "status": "RUNNING",
                "run_dir": "/scratch/ada/climate",
                "created_at": "2026-11-22T09:48:02+00:00",
                "finished_at": None,
                "executor": "slurm",
                "parameters": {},
                "message": "",
            },
            "pilots": None,
            "tasks": {
                "list_files": task("SUCCESS", SUCCESS=1),
                "regrid": task(
                    "RUNNING",
                    1200,
                    SUCCESS=744,
                    RUNNING=48,
                    SUBMITTED=405,
                    FAILED=3,
                    reason="Priority",
                    retries=2,
                ),
                "monthly_means": task("RUNNING", 1200, SUCCESS=701, RUNNING=16, PENDING=483),
                "trend": task("PENDING", PENDING=1),
                "figures": task("PENDING", 12, PENDING=12),
            },
            "failed_instances": [],
            "notes": [],
        },
        failures=[
            failed(871, FailureCause.MEMORY, "it used more than its 4 GiB"),
            failed(86, FailureCause.ERROR, missing.format("03")),
            failed(85, FailureCause.ERROR, missing.format("02")),
        ],
        hosts={"node017": 24, "node018": 24, "node022": 16},
        paces={
            "regrid": Pace(31.2, timedelta(minutes=14, seconds=31)),
            "monthly_means": Pace(30.6, timedelta(minutes=16, seconds=18)),
        },
        left=timedelta(minutes=21, seconds=4),
    )


def image() -> str:
    """Draw the view as SVG, with `regrid` chosen."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    state = with_look(begin(RUN_ID), glance())
    for _ in range(2):
        state, _asked = press(state, "down", 10)
    console = Console(
        width=SIZE.columns, record=True, file=io.StringIO(), force_terminal=True, highlight=False
    )
    for line in view(state, SIZE, NOW):
        console.print(line, soft_wrap=True)
    drawn = console.export_svg(title=f"reflow status {RUN_ID} --watch", unique_id="watch")
    return _FONT_FACES.sub("", drawn)


if __name__ == "__main__":
    IMAGE.write_text(image(), encoding="utf-8")
