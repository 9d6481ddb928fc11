"""The fake `flux jobs`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Parsed, options

from tests.fakes.flux import arguments, durations, ids
from tests.fakes.flux.fields import Format, record
from tests.fakes.flux.jobs import FluxJob, result_of

if TYPE_CHECKING:
    from tests.fakes.flux.emulator import FluxEmulator

OPTIONS = options(
    """
    h/help a/-a A/-A c/count= f/filter= since= n/no-header u/user= name= q/queue= i/include=
    o/format= sort= w/watch[=] json color[=] R/recursive L/level= recurse-all threads= stats
    stats-only
    """
)
USAGE = """\
usage: flux-jobs [-h] [-a] [-A] [-c N] [-f STATE|RESULT] [--since WHEN] [-n]
                 [-u [USERNAME|UID]] [--name JOB-NAME] [-q QUEUE,...]
                 [-i HOSTS|RANKS] [-o FORMAT] [--sort KEY,...] [-w [N]]
                 [--json] [--color [WHEN]] [-R] [-L N] [--recurse-all]
                 [--threads N] [--stats] [--stats-only]
                 [JOBID ...]
flux-jobs: error: """
DEFAULT = (
    "{id.f58:>12} {username:<8.8} {name:<10.10+} {status_abbrev:>2.2} {ntasks:>6} {nnodes:>6h} "
    "{contextual_time!F:>8h} {contextual_info}"
)
WITH_QUEUE = DEFAULT.replace("{username", "{queue:<8.8} {username")
FORMATS = {"default": DEFAULT, "deps": "{id.f58:>12} {name:<10.10+} {urgency} {dependencies}"}
_FORMATS_HELP = """
Configured flux-jobs output formats:

  default      Default flux-jobs format string
  cute         Cute flux-jobs format string (default with emojis)
  long         Extended flux-jobs format string
  deps         Show job urgency, priority, and dependencies
  endreason    Show why each job ended
"""
_FILTERS = {
    "depend": ("DEPEND",),
    "priority": ("PRIORITY",),
    "sched": ("SCHED",),
    "run": ("RUN",),
    "cleanup": ("CLEANUP",),
    "inactive": ("INACTIVE",),
    "pending": ("DEPEND", "PRIORITY", "SCHED"),
    "running": ("RUN", "CLEANUP"),
    "active": ("DEPEND", "PRIORITY", "SCHED", "RUN", "CLEANUP"),
    "completed": ("COMPLETED",),
    "failed": ("FAILED",),
    "canceled": ("CANCELED",),
    "timeout": ("TIMEOUT",),
}
MOST = 1000


class Jobs:
    """The command."""

    def __init__(self, emulator: FluxEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """List jobs."""
        try:
            line = arguments.parse(call.arguments[1:], OPTIONS)
        except BadOptionError as error:
            raise Refusal(f"{USAGE}{error}", 2) from None
        if line.has("help"):
            return Reply(USAGE.rpartition("\n")[0] + "\n")
        if line.last("format") == "help":
            return Reply(_FORMATS_HELP)
        numbers = self._numbers(line)
        layout = Format(self._template(line))
        states = self._states(line)
        jobs, errors = self._chosen(line, call, numbers, states)
        if line.operands and not jobs:
            return Reply(stderr=errors, code=1)
        if line.operands and line.has("-a", "-A"):
            errors = "flux-jobs: WARNING: Filtering options ignored with jobid list\n" + errors
        if line.has("json"):
            return Reply(self._json(jobs, single=len(numbers) == 1), errors)
        plain = ids.is_ascii(call.environment)
        text = "" if line.has("no-header") else layout.header() + "\n"
        text += "".join(layout.row(self._emulator, job, plain=plain) + "\n" for job in jobs)
        return Reply(text, errors)

    def _numbers(self, line: Parsed) -> list[int]:
        numbers: list[int] = []
        for text in line.operands:
            number = ids.parse(text)
            if number is None:
                raise Refusal(f"{USAGE}argument JOBID: invalid JobID value: '{text}'", 2)
            numbers.append(number)
        return numbers

    def _template(self, line: Parsed) -> str:
        default = WITH_QUEUE if self._emulator.settings.queues else DEFAULT
        text = line.last("format", default)
        return FORMATS.get(text, text)

    def _states(self, line: Parsed) -> set[str]:
        if line.has("-a", "-A"):
            return {*_FILTERS["active"], "INACTIVE"}
        if not line.has("filter"):
            return {*_FILTERS["active"], "INACTIVE"} if line.has("since") else {*_FILTERS["active"]}
        found: set[str] = set()
        for text in line.last("filter").split(","):
            if text.lower() not in _FILTERS:
                raise Refusal(f"flux-jobs: ERROR: Invalid filter specified: {text}")
            found |= set(_FILTERS[text.lower()])
        return found

    def _chosen(
        self, line: Parsed, call: Call, numbers: list[int], states: set[str]
    ) -> tuple[list[FluxJob], str]:
        if numbers:
            jobs: list[FluxJob] = []
            errors = ""
            for number, text in zip(numbers, line.operands, strict=True):
                job = self._emulator.known_job(number)
                if job is None:
                    errors += f"JobID {text} unknown\n"
                else:
                    jobs.append(job)
            return jobs, errors
        chosen = [job for job in self._emulator.known_jobs() if self._fits(job, line, call, states)]
        chosen.sort(key=self._rank)
        most = int(line.last("count", str(MOST)))
        return chosen[:most] if most else chosen, ""

    def _fits(self, job: FluxJob, line: Parsed, call: Call, states: set[str]) -> bool:
        user = line.last("user", call.user)
        if not line.has("-A") and user not in ("all", job.user, str(job.uid)):
            return False
        if line.has("name") and job.name != line.last("name"):
            return False
        if line.has("queue") and job.queue not in line.last("queue").split(","):
            return False
        if line.has("since") and (job.task.ended or self._emulator.engine.now()) < self._since(
            line
        ):
            return False
        return self._emulator.state_of(job) in states or result_of(job) in states

    def _since(self, line: Parsed) -> float:
        text = line.last("since")
        if text.startswith("-"):
            span = durations.parse(text[1:])
            if span is not None:
                return self._emulator.engine.now() - span
        try:
            return float(text)
        except ValueError:
            raise Refusal(f'flux-jobs: ERROR: Invalid datetime: "{text}"') from None

    def _rank(self, job: FluxJob) -> tuple[int, float]:
        """What waits first, then what runs, then what is over: the latest first in these."""
        run = job.task.run
        if job.task.ended is not None:
            return 2, -job.task.ended
        if run is not None:
            return 1, -run.started
        waits = self._emulator.state_of(job) == "DEPEND"
        return 0, (2.0 if waits else 1.0 - job.urgency / 100) * 1e12 + job.submitted

    def _json(self, jobs: list[FluxJob], *, single: bool) -> str:
        records = [record(self._emulator, job) for job in jobs]
        document = records[0] if single and len(records) == 1 else {"jobs": records}
        return json.dumps(document) + "\n"
