"""What LSF's commands see of this process's environment: bsub hands all of it on to the job."""

from __future__ import annotations

import os

from reflow.plugin_api import Variables

_OPTIONS = ("BSUB_", "LSB_", "LS_")
"""Variables that act as options, or are the calling job's own; BSUB_QUIET loses the job's id."""
_PROJECT = "LSB_DEFAULTPROJECT"
_PERSONAL = (_PROJECT, "LSB_DEFAULTQUEUE", "LSB_DEFAULT_JOBGROUP", "LSB_DEFAULT_USERGROUP")
"""What bsub takes where nobody says it; the groups are IBM LSF's."""
_FOR_JOBS = (
    # Without PWD, an OpenLava may take the last letter off the folder that it is called in.
    *("HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TERM", "TZ", "USER"),
    *("EGO_CONFDIR", "EGO_TOP", "LD_LIBRARY_PATH"),
    *("LSF_BINDIR", "LSF_ENVDIR", "LSF_LIBDIR", "LSF_SERVERDIR"),
)

ALL = Variables(dropped=_OPTIONS, kept=_PERSONAL)
"""For jobs that are to have the submitter's environment."""
LITTLE = Variables(dropped=("",), kept=(*_PERSONAL, *_FOR_JOBS))
"""Little more than LSF itself needs."""


def has_project() -> bool:
    """Whether a project is named, which to OpenLava's bsub counts more than a script's."""
    return _PROJECT in os.environ
