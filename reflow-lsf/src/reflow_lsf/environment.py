"""The environment of LSF's commands: bsub passes all of it on to the job."""

from __future__ import annotations

import os

from reflow.plugin_api import Variables

_OPTIONS = ("BSUB_", "LSB_", "LS_")
"""Variables that act as options, or belong to the calling job; BSUB_QUIET hides the job's id."""
_PROJECT = "LSB_DEFAULTPROJECT"
_PERSONAL = (_PROJECT, "LSB_DEFAULTQUEUE", "LSB_DEFAULT_JOBGROUP", "LSB_DEFAULT_USERGROUP")
"""Defaults of the user for bsub; the groups are IBM LSF's."""
_FOR_JOBS = (
    # Without PWD, some OpenLava drops the last letter of its working directory.
    *("HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TERM", "TZ", "USER"),
    *("EGO_CONFDIR", "EGO_TOP", "LD_LIBRARY_PATH"),
    *("LSF_BINDIR", "LSF_ENVDIR", "LSF_LIBDIR", "LSF_SERVERDIR"),
)

ALL = Variables(dropped=_OPTIONS, kept=_PERSONAL)
"""For jobs that are to have the submitter's environment."""
LITTLE = Variables(dropped=("",), kept=(*_PERSONAL, *_FOR_JOBS))
"""Little more than LSF itself needs."""


def has_project() -> bool:
    """Tell whether a project is set, which for OpenLava's bsub takes precedence over a script's."""
    return _PROJECT in os.environ
