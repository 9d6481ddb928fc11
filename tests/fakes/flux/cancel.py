"""The fake `flux cancel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Parsed, options
from reflow.testing.fakes.model import Phase

from tests.fakes.flux import arguments, ids
from tests.fakes.flux.jobs import FluxJob

if TYPE_CHECKING:
    from tests.fakes.flux.emulator import FluxEmulator

OPTIONS = options("h/help all u/user= S/states= n/dry-run q/quiet m/message=")
USAGE = "usage: flux cancel [OPTIONS] [JOBID...]\nflux-cancel: error: "


class Cancel:
    """The command."""

    def __init__(self, emulator: FluxEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Cancel jobs."""
        try:
            line = arguments.parse(call.arguments[1:], OPTIONS)
        except BadOptionError as error:
            raise Refusal(f"{USAGE}{error}", 2) from None
        if line.has("help"):
            return Reply(USAGE.partition("\n")[0] + "\n")
        numbers: list[int] = []
        for text in line.operands:
            number = ids.parse(text)
            if number is None:
                raise Refusal(f"{USAGE}argument JOBID...: invalid JobID value: '{text}'", 2)
            numbers.append(number)
        if line.has("all", "user", "states"):
            if numbers:
                raise Refusal(
                    "flux-cancel: ERROR: Do not specify a list of jobids with "
                    "--all,--user,--states options"
                )
            return self._every(line, call)
        if not numbers:
            raise Refusal("flux-cancel: ERROR: No target jobs were provided")
        plain = ids.is_ascii(call.environment)
        errors = ""
        for number in numbers:
            shown = ids.to_f58(number, ascii_only=plain)
            job = self._emulator.known_job(number)
            if job is None:
                errors += f"flux-cancel: ERROR: {shown}: unknown job id\n"
            elif job.task.phase is Phase.OVER:
                errors += f"flux-cancel: ERROR: {shown}: job is inactive\n"
            else:
                self._emulator.cancel(job, line.last("message"))
        return Reply(stderr=errors, code=1 if errors else 0)

    def _every(self, line: Parsed, call: Call) -> Reply:
        states = line.last("states", "active").lower().split(",")
        jobs = [job for job in self._emulator.known_jobs() if self._is_meant(job, states)]
        if line.has("dry-run"):
            return Reply(stderr=f"flux-cancel: Would cancel {_jobs(len(jobs))}\n")
        for job in jobs:
            self._emulator.cancel(job, line.last("message"))
        if line.has("quiet"):
            return Reply()
        if not jobs:
            return Reply(stderr="flux-cancel: Matched 0 jobs\n")
        return Reply(stderr=f"flux-cancel: Canceled {_jobs(len(jobs))} (0 errors)\n")

    def _is_meant(self, job: FluxJob, states: list[str]) -> bool:
        if job.task.phase is Phase.OVER:
            return False
        state = self._emulator.state_of(job).lower()
        pending = state in ("depend", "sched")
        groups = {"active": True, "pending": pending, "running": not pending, state: True}
        return any(groups.get(one, False) for one in states)


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"
