"""The environment of Flux's commands, and the instance that they talk to."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

from reflow.plugin_api import Variables

_INSTANCE = "REFLOW_FLUX_URI"
"""In jobs, the variable with the `uri` by which they were submitted."""

VARIABLES = Variables(
    # Variables of the calling job, which export_environment would pass on, and those that
    # change what the commands print.
    dropped=(
        *("FLUX_JOB_", "FLUX_TASK_", "FLUX_KVS_NAMESPACE"),
        *("FLUX_JOBS_FORMAT_DEFAULT", "FLUX_HANDLE_TRACE", "FLUX_PYCLI_LOGLEVEL"),
    ),
    added={"FLUX_F58_FORCE_ASCII": "1"},
)


def instance() -> str | None:
    """Choose the `uri` where none is set: None for what FLUX_URI names, "" for the machine's own.

    The two are distinguished because the second lasts: a run in it must not be looked for, or
    continued, in another instance in which a user may be later.
    """
    return None if "FLUX_URI" in os.environ else ""


def variables(uri: str | None) -> Variables:
    """Return the variables of commands for an instance; its own jobs keep their name for it.

    `local:///tmp/flux-x/local-0` exists only on the first of its nodes.
    """
    if uri is None or os.environ.get(_INSTANCE) == uri:
        return VARIABLES
    named = {"FLUX_URI": uri} if uri else {}
    return replace(
        VARIABLES,
        dropped=(*VARIABLES.dropped, "FLUX_URI"),
        added={**VARIABLES.added, **named},
    )


_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h|d)?")
_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def longest_time(text: str, queue: str | None) -> timedelta | None:
    """Find the limit on durations of a queue, or of all jobs, in what `flux config get` prints."""
    try:
        config = json.loads(text)
    except ValueError:
        return None
    everywhere = config.get("policy", {})
    queue = queue or _within(everywhere, "jobspec", "defaults", "system", "queue")
    of_queue = _within(config, "queues", queue or "", "policy", "limits", "duration")
    limit = of_queue if of_queue is not None else _within(everywhere, "limits", "duration")
    found = _DURATION.fullmatch(str(limit))
    # 0 stands for no limit.
    seconds = float(found[1]) * _SECONDS[found[2] or "s"] if found else 0.0
    return timedelta(seconds=seconds) if seconds else None


def _within(data: Any, *keys: str) -> Any:
    """Return what stands in nested tables; None where one of them is missing."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data
