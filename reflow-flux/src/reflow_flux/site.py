"""What Flux's commands see of the environment, and which instance they ask."""

from __future__ import annotations

import os
from dataclasses import replace

from reflow.plugin_api import Variables

_INSTANCE = "REFLOW_FLUX_URI"
"""In jobs: the `uri` by which they were submitted."""

VARIABLES = Variables(
    # Those of the calling job, which would be handed on with export_environment, and those that
    # change what the commands print.
    dropped=(
        *("FLUX_JOB_", "FLUX_TASK_", "FLUX_KVS_NAMESPACE"),
        *("FLUX_JOBS_FORMAT_DEFAULT", "FLUX_HANDLE_TRACE", "FLUX_PYCLI_LOGLEVEL"),
    ),
    added={"FLUX_F58_FORCE_ASCII": "1"},
)


def instance() -> str | None:
    """Choose the `uri` where none is set: None for what FLUX_URI names, "" for the machine's own.

    That is told apart because the second lasts: a run of it is not to be looked for, nor gone on
    with, in whatever instance somebody is in later on.
    """
    return None if "FLUX_URI" in os.environ else ""


def variables(uri: str | None) -> Variables:
    """For commands that ask an instance; but its own jobs know it by a name that is right there.

    `local:///tmp/flux-x/local-0` is there on the first of its nodes alone.
    """
    if uri is None or os.environ.get(_INSTANCE) == uri:
        return VARIABLES
    named = {"FLUX_URI": uri} if uri else {}
    return replace(
        VARIABLES,
        dropped=(*VARIABLES.dropped, "FLUX_URI"),
        added={**VARIABLES.added, **named},
    )
