"""Writing a request as the command line of flux-submit(1)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from reflow.plugin_api import JobRequest, long_options, whole_seconds

from reflow_flux.ids import element_name

_PER_TASK = "set cpus=, nodes= and gpus= of the task: flux submit takes one way or the other"
_RESERVED = {
    "bcc": "it follows from the number of elements",
    "begin-time": "reflow decides when a job starts",
    "cc": "it follows from the number of elements",
    "cores": _PER_TASK,
    "cwd": "jobs change into their folder themselves",
    "debug-emulate": "the job would wait for a debugger",
    "dependency": "it follows from the workflow",
    "dry": "nothing would be submitted",
    "dry-run": "nothing would be submitted",
    "env": "set `export_environment` under [executor.flux]",
    "env-remove": "set `export_environment` under [executor.flux]",
    "error": "logs are in the run directory",
    "gpus-per-node": _PER_TASK,
    "help": "nothing would be submitted",
    "input": "a job reads nothing",
    "job-name": "reflow finds jobs by it",
    "list-plugins": "nothing would be submitted",
    "log": "reflow reads the answer",
    "log-stderr": "reflow reads the answer",
    "output": "logs are in the run directory",
    "progress": "reflow reads the answer",
    "quiet": "reflow reads the answer",
    "tasks-per-core": _PER_TASK,
    "tasks-per-node": _PER_TASK,
    "wait": "reflow does not wait for a job",
    "wait-event": "reflow does not wait for a job",
    "watch": "reflow does not wait for a job",
}
_INHERITED = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TZ", "USER")
"""The variables of the submitting process that a job gets."""
_NO_TEXT = re.compile("[\udc80-\udcff]")
_UNSAFE = re.compile("[{}\udc80-\udcff]")
_ESCAPED = re.compile("[\\\\%{}\udc80-\udcff]")


def submit_options(request: JobRequest, executor: str, export_environment: bool) -> list[str]:
    """Write the options of flux submit for a request that is filled in, without positions.

    The name of an array's jobs holds `{cc}`, which flux submit replaces.
    """
    resources = request.resources
    name = request.token
    if request.size is not None:
        name = element_name(name, "{cc}", request.size)
    arguments = [f"--job-name={name}", f"--cores-per-task={resources.cpus}"]
    arguments += [f"--ntasks={resources.nodes}"]
    if resources.nodes > 1 or resources.whole_nodes:
        arguments.append(f"--nodes={resources.nodes}")
    if resources.nodes > 1:
        # Otherwise the others would be ended soon after the first of them has ended.
        arguments.append("--setopt=exit-timeout=none")
    if resources.whole_nodes:
        arguments.append("--exclusive")
    if resources.gpus:
        arguments.append(f"--gpus-per-task={resources.gpus}")
    if resources.time is not None:
        arguments.append(f"--time-limit={whole_seconds(resources.time)}s")
    if resources.queue:
        arguments.append(f"--queue={resources.queue}")
    if resources.account:
        arguments.append(f"--bank={resources.account}")
    if _NO_TEXT.search(str(request.working_directory)):
        # Flux sends the directory in JSON, which cannot hold this one; the script changes to it.
        arguments.append("--cwd=/")
    if not export_environment:
        arguments += ["--env=-*", *(f"--env={variable}" for variable in _INHERITED)]
    for option in long_options(executor, resources.options[executor], _RESERVED):
        arguments.extend(option)
    if request.begin_in is not None:
        arguments.append(f"--begin-time=+{whole_seconds(request.begin_in)}s")
    return arguments


def script_command(shell: str, script: Path) -> list[str]:
    """Write the command that a job is to run.

    Braces in it stand for positions and properties of the job, and it must be UTF-8: a path with
    other characters is rebuilt by the job.
    """
    arguments, text = shlex.split(shell), str(script)
    if not _UNSAFE.search(text):
        return [*arguments, text]
    return ["/bin/sh", "-c", 'exec "$@" "$(printf "$0")"', _ESCAPED.sub(_escape, text), *arguments]


def _escape(found: re.Match[str]) -> str:
    letter = found[0]
    doubled: Mapping[str, str] = {"\\": "\\\\", "%": "%%"}
    # A surrogate for a byte that is no UTF-8 has the byte in its last eight bits.
    return doubled.get(letter, f"\\{ord(letter) & 0xFF:03o}")
