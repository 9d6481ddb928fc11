"""Writing a request as directives of sbatch(1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reflow.plugin_api import (
    LOG_NAME,
    JobRequest,
    ParameterError,
    Resources,
    clock,
    in_units,
    long_options,
    one_line,
)

_RESERVED = {
    "array": "it follows from the number of elements; see array_parallelism= for its limit",
    "a": "it follows from the number of elements; see array_parallelism= for its limit",
    "begin": "reflow decides when a job starts",
    "b": "reflow decides when a job starts",
    "chdir": "jobs start in the folder of the submission",
    "D": "jobs start in the folder of the submission",
    "clusters": "set `cluster` under [executor.slurm]",
    "M": "set `cluster` under [executor.slurm]",
    "dependency": "it follows from the workflow",
    "d": "it follows from the workflow",
    "error": "logs are in the run directory",
    "e": "logs are in the run directory",
    "output": "logs are in the run directory",
    "o": "logs are in the run directory",
    "export": "set `export_environment` under [executor.slurm]",
    "job-name": "reflow finds jobs by it",
    "J": "reflow finds jobs by it",
    "parsable": "reflow reads the answer",
    "quiet": "reflow reads the answer",
    "Q": "reflow reads the answer",
    "test-only": "nothing would be submitted",
    "wait": "reflow does not wait for a job",
    "W": "reflow does not wait for a job",
    "wrap": "reflow writes the script",
}

_REPLACED_BY = {
    "ntasks-per-node": "ntasks n ntasks-per-node ntasks-per-core ntasks-per-socket ntasks-per-gpu",
    "cpus-per-task": "cpus-per-task c cpus-per-gpu",
    "nodes": "nodes N",
    "mem": "mem mem-per-cpu mem-per-gpu",
    "time": "time t",
    "partition": "partition p",
    "account": "account A",
    "requeue": "requeue no-requeue",
    "exclusive": "exclusive",
}
"""reflow's directives, and the options of a task that replace them: Slurm would refuse both,
or combine them in ways of its own."""


def directives(request: JobRequest, signal: str | None, gpu_option: str) -> Mapping[str, Any]:
    """Return the template's variables; `signal` and `gpu_option` are the executor's settings."""
    resources = request.resources
    options = dict(resources.options["slurm"])
    signal = options.pop("signal", signal)
    if signal is not None:
        options["signal"] = _to_the_script(str(signal))
    return {
        "output": _file_name(request.directory / LOG_NAME),
        "memory": _memory(resources),
        "walltime": None if resources.time is None else clock(resources.time, days=True),
        "gpus": gpu_option.format(gpus=resources.gpus) if resources.gpus else None,
        "excluded_hosts": ",".join(request.excluded_hosts),
        "replaced": _replaced(options),
        "options": long_options("slurm", options, _RESERVED),
    }


def _memory(resources: Resources) -> str | None:
    """Write the value of `--mem`. A job has no more, even on a node that it has for itself."""
    if resources.mem is not None:
        return f"{in_units(resources.mem, 1024**2)}M"
    return "0" if resources.whole_nodes else None


def _replaced(options: Mapping[str, Any]) -> set[str]:
    """Return reflow's directives that a task's options replace."""
    given = {
        name.replace("_", "-") for name, value in options.items() if value not in (None, False)
    }
    return {ours for ours, theirs in _REPLACED_BY.items() if given & set(theirs.split())}


def _to_the_script(signal: str) -> str:
    """Add `B:`, without which only steps get the signal; the worker is the script's own process."""
    return signal if ":" in signal else f"B:{signal}"


def _file_name(path: Path) -> str:
    """Write a path for `--output`, where `%` starts a pattern.

    A backslash disables patterns, and is itself removed on the way to the node.
    """
    text = one_line(path)
    if "\\" in text:
        raise ParameterError(
            f"Slurm cannot write to {text!r}, because of the backslash. Choose another run "
            "directory."
        )
    return text.replace("%", "%%")
