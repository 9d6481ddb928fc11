"""Querying jobs: by bjobs, and by bhist and the hosts for what bjobs leaves out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reflow.plugin_api import (
    Command,
    CommandResult,
    JobHandle,
    JobStatus,
    SchedulerUnavailableError,
)

from reflow_lsf import parse
from reflow_lsf.errors import NO_JSON
from reflow_lsf.hosts import Hosts
from reflow_lsf.meaning import statuses
from reflow_lsf.rows import Row, explained, of_these

logger = logging.getLogger("reflow.lsf")


@dataclass(kw_only=True)
class Inquiry:
    """Queries by bjobs, and of what it leaves out: who killed a job, and what no host has."""

    ask: Callable[[Command], CommandResult]
    bjobs: str
    bhist: str
    hosts: Hosts
    memory_enforced: bool
    """Whether the site ends jobs that exceed their memory limit."""
    json: bool | None = None
    """Whether bjobs has `-json`; None until its first answer."""
    _warned: bool = field(default=False, init=False)

    # -- the queue -------------------------------------------------------------------------
    def queue(self, handles: Sequence[JobHandle]) -> Command:
        """Query the queue, with finished jobs as long as mbatchd remembers them (CLEAN_PERIOD)."""
        shown = ("-l",) if self.json is False else ("-json", "-o", parse.JSON_FIELDS)
        return self._queue(shown, handles)

    def _queue(self, shown: Iterable[str], handles: Sequence[JobHandle]) -> Command:
        return Command((self.bjobs, "-a", *shown, *(handle.native_id for handle in handles)))

    def understood(self, result: CommandResult, handles: Sequence[JobHandle]) -> CommandResult:
        """Return the same answer, or one in text where bjobs has no JSON or prints invalid JSON.

        IBM LSF may leave a quote in a value unescaped.
        """
        if "-json" not in result.argv or parse.is_json(result):
            return result
        if result.exit_code != 0 and NO_JSON.search(result.stderr):
            self.json = False
        elif not result.stdout.lstrip().startswith("{"):
            return result
        return self.ask(self._queue(("-l",), handles))

    def statuses(self, result: CommandResult, handles: Sequence[JobHandle]) -> Iterable[JobStatus]:
        """Parse bjobs' statuses of these jobs, and add what bjobs leaves out."""
        read = parse.json_rows if "-json" in result.argv else parse.long_rows
        rows = of_these(read(result.stdout) if result.stdout.strip() else (), handles)
        judged = [self.hosts.judged(row) for row in self._explained(rows)]
        return statuses(judged, {handle.native_id for handle in handles})

    def _explained(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Query bhist about jobs that may have been killed by bkill: bjobs does not tell."""
        suspects = list(dict.fromkeys(row.job_id for row in rows if row.may_be_killed))
        if not suspects:
            return rows
        try:
            result = self.ask(self.history(suspects))
        except SchedulerUnavailableError:
            return rows
        past: Mapping[tuple[str, int], Row]
        past = {row.place: row for row in parse.ended_rows(result.stdout)}
        enforced = self.memory_enforced and result.exit_code == 0
        return [explained(row, past, enforced) for row in rows]

    # -- the event log ---------------------------------------------------------------------
    def history(self, native_ids: Sequence[str]) -> Command:
        """Query all of LSF's event logs for jobs that mbatchd has forgotten."""
        return Command((self.bhist, "-l", "-n", "0", *native_ids))

    def ends(self, result: CommandResult, handles: Sequence[JobHandle]) -> Iterable[JobStatus]:
        """Parse the ends of these jobs in bhist's answer; none where bhist cannot read its log."""
        if parse.without_events(result):
            self._warn(result)
        rows = of_these(parse.ended_rows(result.stdout), handles)
        return statuses(rows, {handle.native_id for handle in handles})

    def _warn(self, result: CommandResult) -> None:
        """Warn once: the log will stay unreadable, so that waiting for it would never end."""
        if not self._warned:
            logger.warning(
                "jobs that LSF has forgotten cannot be looked up here: %s", result.message
            )
        self._warned = True
