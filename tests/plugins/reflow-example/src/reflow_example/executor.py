"""Run jobs on Harbour."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from reflow.plugin_api import (
    ArrayStyle,
    BatchExecutor,
    Capabilities,
    Command,
    CommandResult,
    ErrorTable,
    FailureCause,
    JobHandle,
    JobRequest,
    JobState,
    JobStatus,
    NativeState,
    StateTable,
    SubmissionDeferredError,
    SubmissionUncertainError,
    Variables,
    in_units,
    long_options,
    whole_seconds,
)

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

# Exit codes of all commands.
NOT_ALL, NO_ANSWER, FULL = 3, 4, 5


@dataclass(kw_only=True, eq=False)
class HarbourExecutor(BatchExecutor):
    """Runs jobs through Harbour's commands; its settings are keys of `[executor.harbour]`."""

    hsub: str = "hsub"
    """The command, or its path; the same for the commands below."""
    hjobs: str = "hjobs"
    hkill: str = "hkill"

    name: ClassVar[str] = "harbour"
    directive: ClassVar[str] = "#HARBOUR"
    job_variable: ClassVar[str] = "HARBOUR_JOB"
    start_variable: ClassVar[str] = "HARBOUR_VOYAGE"  # how often the job was put back
    array: ClassVar[ArrayStyle] = ArrayStyle(
        base=1,
        variable="HARBOUR_ELEMENT",
        throttled="{first}-{last}%{throttle}",
        element="{job}.{indices}",
    )
    states: ClassVar[StateTable] = STATES
    native_id: ClassVar[str] = r"\d+(?:\.\d+)?"
    submitted: ClassVar[str] = r"^job (\d+) waits$"
    errors: ClassVar[ErrorTable] = ErrorTable(
        submission=((NO_ANSWER, SubmissionUncertainError), (FULL, SubmissionDeferredError)),
        over=(NOT_ALL,),
    )
    reserved: ClassVar[Mapping[str, str]] = {
        "after": "it follows from the workflow",
        "delay": "reflow decides when a job starts",
        "elements": "it follows from the number of elements; see array_parallelism=",
        "environment": "set `export_environment` under [executor.harbour]",
        "name": "reflow finds jobs by it",
        "output": "logs are in the run directory",
    }
    variables: ClassVar[Variables] = Variables(dropped=("HARBOUR_",))
    capabilities: ClassVar[Capabilities] = Capabilities(
        notes=("Harbour cannot be told which machines a job is to stay away from.",)
    )

    def directives(self, request: JobRequest) -> Iterable[tuple[str, ...]]:
        """Write the options of hsub; memory in mebibytes, time in seconds."""
        resources = request.resources
        ours = {
            "name": request.token,
            "output": self.log(request),
            "cpus": resources.cpus,
            "ships": resources.nodes,
            "environment": self.export_environment,
            "elements": request.size and self.array.expression(request.size, request.throttle),
            "memory": resources.mem and in_units(resources.mem, 1024**2),
            "seconds": resources.time and whole_seconds(resources.time),
            "gpus": resources.gpus or None,
            "pier": resources.queue,
            "account": resources.account,
        }
        return [*long_options(self.name, ours, {}), *self.own_options(request)]

    def submit_command(self, script: Path, request: JobRequest, after: JobHandle | None) -> Command:
        """Add what belongs to one submission only; users resubmit the script without it."""
        delay = [f"--delay={whole_seconds(request.begin_in)}"] if request.begin_in else []
        waits = [f"--after={after.native_id}"] if after else []
        return Command((self.hsub, *delay, *waits, str(script)))

    def queue_command(self, handles: Sequence[JobHandle]) -> Command:
        """Ask hjobs, which shows jobs for an hour after their end; there is no other command."""
        return Command((self.hjobs, *(handle.native_id for handle in handles)))

    def parse_queue(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Read one object a line; ids that hjobs does not know are left out."""
        for job in map(json.loads, self.answered(result).splitlines()):
            yield STATES.status(
                job["id"],
                job["state"],
                position=None if job["element"] is None else job["element"] - 1,
                exit_code=job["exit"],
                signal=job["signal"],
                reason=job["why"],
                host=job["ship"],
            )

    def find_commands(self, token: str) -> Sequence[Command]:
        """Look among jobs that wait, run, or ended in the last hour."""
        return [Command((self.hjobs, f"--name={token}"))]

    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        """Cancel jobs and elements; an unknown id does not stop hkill from cancelling others."""
        return Command((self.hkill, *native_ids))

    def count_command(self) -> Command:
        """List this user's jobs that are not over, each element on a line of its own."""
        return Command((self.hjobs, "--mine"))
