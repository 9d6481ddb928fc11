"""The command line of bsub, and its answers."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reflow.plugin_api import (
    CommandResult,
    ExecutorError,
    JobHandle,
    JobRequest,
    SchedulerUnavailableError,
    SubmissionRefusedError,
    SubmissionUncertainError,
    shell_time,
)

from reflow_lsf import environment
from reflow_lsf.script import BEGIN_TIME, begin_time, is_long

_OPTION = re.compile(r"^#BSUB (-.*)$", re.MULTILINE)
_LONGEST_NAME = 256
_PROJECT = re.compile(r"^#BSUB -P (.*)$", re.MULTILINE)


def arguments(script: str, request: JobRequest, after: JobHandle | None) -> list[str]:
    """Return the options of one submission only: users may resubmit the script without them.

    A project is in the script too, but for OpenLava's bsub a variable takes precedence over that.
    """
    written: list[str] = []
    if request.begin_in is not None:
        written += ["-b", begin_time(datetime.now(UTC), request.begin_in)]
    if after is not None:
        written += ["-w", f"ended({after.native_id})"]
    project = _PROJECT.search(script) if environment.has_project() else None
    if project is not None:
        written += ["-P", *shlex.split(project[1])]
    return written


def again(bsub: str, script: Path, begin_in: timedelta) -> str:
    """Write a line of shell that submits a script, to begin `begin_in` after it is run."""
    # Rounded up to a whole minute, which must not be the one that has begun.
    time = shell_time(begin_in + timedelta(minutes=1), BEGIN_TIME)
    return f"{shlex.quote(bsub)} -b {time} <{shlex.quote(str(script))}"


def directory(wanted: Path) -> Path:
    """Return where bsub is to run: in `wanted`, or in a folder whose name does no harm.

    OpenLava's bsub copies the name into 256 characters (MAXFILENAMELEN), whatever its length, and
    a line of LSF's event log ends at a newline.
    """
    name = str(wanted)
    return wanted if name.isprintable() and len(os.fsencode(name)) < _LONGEST_NAME else Path("/")


def is_openlava(version: CommandResult) -> bool:
    """Tell whether OpenLava's bsub answered to `-V`."""
    return "openlava" in f"{version.stdout}{version.stderr}".lower()


def long_options(script: str) -> list[str]:
    """List the options in a script that OpenLava's bsub does not have."""
    return [line.split()[0] for line in _OPTION.findall(script) if is_long(line)]


def not_in_openlava(option: str) -> SubmissionRefusedError:
    """Make the error for an option by which OpenLava's bsub would silently drop lines.

    It would ignore the line with the option, and those after it.
    """
    return SubmissionRefusedError(
        f"OpenLava's bsub has no {option}: leave that option out, or, for GPUs, set gpu_option "
        "under [executor.lsf] to what asks for them here, such as -R 'rusage[gpu={gpus}]'"
    )


def got_through(
    request: JobRequest, error: ExecutorError, find: Callable[[str], Sequence[JobHandle]]
) -> JobHandle:
    """Find the job, if bsub submitted it just as it timed out; else raise that error.

    Raises `SubmissionUncertainError` where that is unknown.
    """
    try:
        found = find(request.token)
    except SchedulerUnavailableError as silence:
        raise SubmissionUncertainError(f"{error}; and then: {silence}") from silence
    if not found:
        raise error
    return replace(
        found[0],
        size=request.size,
        submitted_at=datetime.now(UTC),
        directory=request.directory,
    )
