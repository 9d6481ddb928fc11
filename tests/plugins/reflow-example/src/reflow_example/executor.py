"""Harbour behind reflow's executor contract."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from reflow.plugin_api import (
    LOG_NAME,
    ArrayStyle,
    BatchExecutor,
    Capabilities,
    Command,
    CommandResult,
    ExecutorError,
    FailureCause,
    JobHandle,
    JobRequest,
    JobState,
    JobStatus,
    NativeState,
    StateTable,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
    Variables,
    contiguous,
    in_units,
    long_options,
    one_line,
    whole_seconds,
)

# [start:states]
STATES = StateTable(
    "Harbour",
    (
        # The Harbour manual, "States of a job".
        NativeState("W", "WAITING", JobState.QUEUED),
        NativeState("H", "HELD", JobState.QUEUED),
        NativeState("S", "SAILING", JobState.RUNNING),
        NativeState("P", "PAUSED", JobState.SUSPENDED),
        NativeState("A", "ARRIVED", JobState.COMPLETED),
        NativeState("F", "FOUNDERED", JobState.FAILED),
        NativeState("L", "LATE", JobState.FAILED, FailureCause.WALLTIME),
        NativeState("O", "OVERLOADED", JobState.FAILED, FailureCause.MEMORY),
        NativeState("D", "DRIFTED", JobState.FAILED, FailureCause.NODE),
        NativeState("R", "RECALLED", JobState.CANCELLED),
    ),
)
# [end:states]

NOT_ALL = 3
"""What hjobs and hkill end with where they do not know some of the ids; the rest is done."""
NO_ANSWER = 4
"""What every command ends with when the harbour master does not answer."""
FULL = 5
"""What hsub ends with when no more jobs are taken for now."""

_RESERVED = {
    "after": "it follows from the workflow",
    "delay": "it decides when a job starts",
    "elements": "it follows from the number of elements; see array_parallelism= for its limit",
    "environment": "set `export_environment` under [executor.harbour]",
    "name": "jobs are found again by it",
    "output": "logs are in the run directory",
}


# [start:declared]
@dataclass(kw_only=True, eq=False)
class HarbourExecutor(BatchExecutor):
    """Runs jobs through Harbour's commands: hsub, hjobs and hkill.

    The settings are keyword arguments here and keys of `[executor.harbour]` in the configuration
    file; constructing an executor runs no command.
    """

    hsub: str = "hsub"
    """The command, or its path; so the other commands below."""
    hjobs: str = "hjobs"
    hkill: str = "hkill"

    name: ClassVar[str] = "harbour"
    scheduler: ClassVar[str] = "Harbour"
    package: ClassVar[str] = "reflow_example"
    template: ClassVar[str] = "harbour.sh.j2"
    array: ClassVar[ArrayStyle] = ArrayStyle(
        base=1, variable="HARBOUR_ELEMENT", throttled="{first}-{last}%{throttle}"
    )
    states: ClassVar[StateTable] = STATES
    variables: ClassVar[Variables] = Variables(dropped=("HARBOUR_",))
    capabilities: ClassVar[Capabilities] = Capabilities(
        notes=("Harbour cannot be told which machines a job is to stay away from.",)
    )
    # [end:declared]

    # [start:submit]
    def template_variables(self, request: JobRequest) -> Mapping[str, Any]:
        """Directives, which are hsub's options; memory in mebibytes, time in seconds."""
        resources = request.resources
        throttle = request.throttle
        return {
            "output": one_line(request.directory / LOG_NAME),
            "elements": request.size and self.array.expression(request.size, throttle),
            "memory": resources.mem and in_units(resources.mem, 1024**2),
            "seconds": resources.time and whole_seconds(resources.time),
            "options": long_options(self.name, resources.options[self.name], _RESERVED),
        }

    def submit_command(self, script: Path, request: JobRequest, after: JobHandle | None) -> Command:
        """What is true of one submission only is not in the script, which people resubmit."""
        words = [self.hsub]
        if request.begin_in is not None:
            words.append(f"--delay={whole_seconds(request.begin_in)}")
        if after is not None:
            words.append(f"--after={after.native_id}")
        return Command((*words, str(script)))

    def parse_submission(self, result: CommandResult) -> str | None:
        """`job 7 waits`."""
        found = re.search(r"^job (\d+) waits$", result.stdout, re.MULTILINE)
        return found[1] if found else None

    def submission_error(self, result: CommandResult) -> ExecutorError:
        """For good, for now, or nobody knows: by the exit code."""
        if result.exit_code == NO_ANSWER or result.exit_code < 0:
            return SubmissionUncertainError(f"hsub: {result.said}")
        if result.exit_code == FULL:
            return SubmissionDeferredError(f"hsub: {result.said}")
        return SubmissionRefusedError(f"Harbour refused the job: {result.said}")

    # [end:submit]
    # [start:poll]
    def is_native_id(self, native_id: str) -> bool:
        """`7`, or `7.3` for an element."""
        return re.fullmatch(r"\d+(?:\.\d+)?", native_id) is not None

    def queue_command(self, handles: Sequence[JobHandle]) -> Command:
        """Harbour remembers ended jobs for an hour; there is no other command to ask."""
        return Command((self.hjobs, *(handle.native_id for handle in handles)))

    def parse_queue(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """One object a line; ids that it does not know are left out."""
        for job in self._jobs(result):
            status = _status(job)
            yield status
            if status.positions is not None:
                # An element may have been asked about by its own id.
                own = f"{job['id']}.{job['element']}"
                yield replace(status, native_id=own, positions=None)

    def _jobs(self, result: CommandResult) -> list[dict[str, Any]]:
        if result.exit_code not in (0, NOT_ALL):
            raise self.unavailable(result)
        return [json.loads(line) for line in result.stdout.splitlines()]

    # [end:poll]
    # [start:rest]
    def find_commands(self, token: str) -> Sequence[Command]:
        """Jobs that wait, run, or ended in the last hour."""
        return [Command((self.hjobs, f"--name={token}"))]

    def parse_found(self, result: CommandResult, token: str) -> Sequence[str]:
        """Every element has the id of its job."""
        return list(dict.fromkeys(job["id"] for job in self._jobs(result)))

    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        """Good ids are recalled whatever stands beside them."""
        return Command((self.hkill, *native_ids))

    def check_cancel(self, result: CommandResult) -> None:
        """Jobs that are over or unknown are no failure."""
        if result.exit_code not in (0, NOT_ALL):
            raise self.unavailable(result)

    def element_ids(self, handle: JobHandle, positions: Sequence[int]) -> Sequence[str]:
        """`7.2-4` and `7.8`: one word for each run of elements."""
        return [
            f"{handle.native_id}.{run[0]}" + (f"-{run[-1]}" if len(run) > 1 else "")
            for run in contiguous(map(self.array.index, positions))
        ]

    def count_command(self) -> Command:
        """All of this user's jobs that are not over, each element on a line of its own."""
        return Command((self.hjobs, "--mine"))

    def parse_count(self, result: CommandResult) -> int:
        """Their number."""
        return len(self._jobs(result))

    # [end:rest]


# [start:status]
def _status(job: Mapping[str, Any]) -> JobStatus:
    try:
        native = STATES.look_up(job["state"])
        element, exit_code, signal = job["element"], job["exit"], job["signal"]
        status = JobStatus(
            native_id=job["id"],
            state=native.state,
            positions=None if element is None else range(element - 1, element),
            reason=job["why"],
            host=job["ship"],
        )
    except KeyError as error:
        raise ValueError(f"a job without {error}") from error
    if native.state is not JobState.FAILED:
        return status
    cause = native.cause or (FailureCause.SIGNAL if signal else FailureCause.EXIT_CODE)
    return replace(status, cause=cause, exit_code=exit_code, signal=signal)


# [end:status]
