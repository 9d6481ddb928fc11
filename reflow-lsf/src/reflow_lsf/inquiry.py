"""Asking about jobs: bjobs, and whoever knows more about some of them."""

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
    """How bjobs is asked, and what it leaves out: who killed a job, and what no host has."""

    ask: Callable[[Command], CommandResult]
    bjobs: str
    bhist: str
    hosts: Hosts
    memory_enforced: bool
    """Whether the site ends jobs over their memory."""
    json: bool | None = None
    """Whether bjobs has `-json`; None until it has said so."""
    _warned: bool = field(default=False, init=False)

    # -- the queue -------------------------------------------------------------------------
    def queue(self, handles: Sequence[JobHandle]) -> Command:
        """Finished jobs too, for as long as mbatchd remembers them (CLEAN_PERIOD)."""
        shown = ("-l",) if self.json is False else ("-json", "-o", parse.JSON_FIELDS)
        return self._queue(shown, handles)

    def _queue(self, shown: Iterable[str], handles: Sequence[JobHandle]) -> Command:
        return Command((self.bjobs, "-a", *shown, *(handle.native_id for handle in handles)))

    def understood(self, result: CommandResult, handles: Sequence[JobHandle]) -> CommandResult:
        """Return the same answer; where bjobs has no JSON, or spoils it, the one in text.

        IBM LSF may leave a quote in a value as it is.
        """
        if "-json" not in result.argv or parse.is_json(result):
            return result
        if result.exit_code != 0 and NO_JSON.search(result.stderr):
            self.json = False
        elif not result.stdout.lstrip().startswith("{"):
            return result
        return self.ask(self._queue(("-l",), handles))

    def statuses(self, result: CommandResult, handles: Sequence[JobHandle]) -> Iterable[JobStatus]:
        """Read what bjobs said of these jobs, and what it does not say itself."""
        read = parse.json_rows if "-json" in result.argv else parse.long_rows
        rows = of_these(read(result.stdout) if result.stdout.strip() else (), handles)
        judged = [self.hosts.judged(row) for row in self._explained(rows)]
        return statuses(judged, {handle.native_id for handle in handles})

    def _explained(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Ask bhist about jobs that may have been killed by bkill: bjobs does not tell."""
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

    # -- the log of events -----------------------------------------------------------------
    def history(self, native_ids: Sequence[str]) -> Command:
        """All of LSF's logs of events, for what mbatchd has forgotten."""
        return Command((self.bhist, "-l", "-n", "0", *native_ids))

    def ends(self, result: CommandResult, handles: Sequence[JobHandle]) -> Iterable[JobStatus]:
        """Read what bhist said of the ends of these jobs; nothing where it cannot read its log."""
        if parse.without_events(result):
            self._warn(result)
        rows = of_these(parse.ended_rows(result.stdout), handles)
        return statuses(rows, {handle.native_id for handle in handles})

    def _warn(self, result: CommandResult) -> None:
        """Once: it will not be readable next time either, and who waits for it waits for ever."""
        if not self._warned:
            logger.warning("what LSF has forgotten cannot be looked up here: %s", result.said)
        self._warned = True
