"""Statuses as `Run.status(as_dict=True)` gives them, and a screen to show them on."""

from __future__ import annotations

import io
from typing import Any, cast

from reflow.report.screen import Screen

RUN_ID = "weather-20261122-a1b2"


def task(state: str, size: int | None = 1, *, array: bool = False, **counts: int) -> dict[str, Any]:
    """A task of a status."""
    return {"state": state, "array": array, "size": size, "counts": counts}


def failed(name: str, index: int | None, error: str, **more: Any) -> dict[str, Any]:
    """A failed instance of a status."""
    return {
        "task": name,
        "index": index,
        "state": "FAILED",
        "cause": "ERROR",
        "error": error,
        "traceback": "",
        "log": f"logs/{RUN_ID}/{name}/{index or 0}.1.log",
        "job_id": "",
        "attempt": 1,
        **more,
    }


def status(
    state: str,
    tasks: dict[str, dict[str, Any]],
    failures: list[dict[str, Any]] | None = None,
    **run: Any,
) -> dict[str, Any]:
    """A whole status."""
    ended = None if state == "RUNNING" else "2026-11-22T08:02:03+00:00"
    return {
        "run": {
            "run_id": RUN_ID,
            "workflow": "weather",
            "status": state,
            "run_dir": "/scratch/demo",
            "created_at": "2026-11-22T08:00:00+00:00",
            "finished_at": ended,
            "executor": "local",
            "parameters": {},
            "message": "",
            **run,
        },
        "tasks": tasks,
        "failed_instances": failures or [],
        "notes": [],
    }


def at(done: int) -> dict[str, Any]:
    state = "SUCCESS" if done == 4 else "RUNNING"
    tasks = {"convert": task(state, 4, array=True, SUCCESS=done, RUNNING=4 - done)}
    return status(state, tasks)


def pipe() -> Screen:
    return Screen(file=io.StringIO(), highlight=False)


def written(console: Screen) -> str:
    return cast(io.StringIO, console.file).getvalue()
