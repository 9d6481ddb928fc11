"""Querying a site for the limits on submission."""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import Callable, Iterator

from reflow.plugin_api import Command, CommandResult, Limits, SchedulerUnavailableError

from reflow_slurm import limits


class Site:
    """The limits of a site. What does not change during a process is queried once."""

    def __init__(
        self,
        run: Callable[[Command], CommandResult],
        scontrol: tuple[str, ...],
        sacctmgr: tuple[str, ...],
        answers: dict[str, str],
    ) -> None:
        """Keep `scontrol` and `sacctmgr`, the words with which their commands begin.

        What sacctmgr answers is kept in `answers`, and what is there is not asked: slurmdbd is
        slow, and what it tells hardly ever changes while a run lasts.
        """
        self._run = run
        self._scontrol = scontrol
        self._sacctmgr = sacctmgr
        self._answers = answers
        self._config: dict[str, str] | None = None
        self._members: list[limits.Membership] | None = None

    def ask(self, account: str | None, qos: object) -> Limits:
        """Find the largest array, and the tightest visible limit on submitted jobs.

        `account` and `qos` are those that jobs ask for, None where they ask for none. Raises
        `SchedulerUnavailableError`.
        """
        if self._config is None:
            result = self._run(Command((*self._scontrol, "show", "config")))
            if result.exit_code != 0:
                raise SchedulerUnavailableError(
                    f"Slurm did not answer: {result.argv[0]}: {result.message}"
                )
            self._config = limits.configuration(result.stdout)
        largest = limits.largest_array(self._config)
        found: list[limits.Places] = []
        if limits.enforces_limits(self._config):
            found = list(self._places(account, qos))
        if not found:
            return Limits(max_array_size=largest)
        tightest = min(found, key=lambda places: places.most - places.used)
        return Limits(
            max_array_size=largest,
            max_submit_jobs=tightest.most,
            queued_jobs=tightest.used,
        )

    def _places(self, account: str | None, qos: object) -> Iterator[limits.Places]:
        """Yield the limits, as far as this site lets its users see them."""
        try:
            user = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            # The node does not know the site's users.
            return
        arguments = ("--oneliner", "show", "assoc_mgr", f"users={user}", "flags=assoc,qos")
        result = self._run(Command((*self._scontrol, *arguments)))
        if result.exit_code != 0:
            return
        account = account or limits.default_account(result.stdout, user)
        if account is not None:
            yield from limits.association_places(result.stdout, user, account)
        if qos is None:
            # Querying slurmdbd takes long, and jobs of this run are nearly always in the queue.
            in_use_now = limits.qualities_in_use(result.stdout, os.getuid())
            qos = in_use_now[0] if len(in_use_now) == 1 else self._default_qos(user, account)
        if not qos:
            return
        in_use = list(limits.quality_places(result.stdout, os.getuid(), account, str(qos)))
        yield from in_use
        if not in_use:
            most = limits.quality_limit(
                self._recorded("qos", "where", f"name={qos}", "format=maxsubmitjobsperuser")
            )
            if most is not None:
                yield limits.Places(most, 0)

    def _default_qos(self, user: str, account: str | None) -> str | None:
        if self._members is None:
            arguments = ("assoc", "where", f"user={user}", "format=account,defaultqos,partition")
            self._members = limits.memberships(self._recorded(*arguments))
        return next((item.qos for item in self._members if item.account == account), None)

    def _recorded(self, *arguments: str) -> str:
        """Return what sacctmgr shows; an empty text without permission or accounting."""
        arguments = (*self._sacctmgr, "--noheader", "--parsable2", "show", *arguments)
        question = shlex.join(arguments)
        if question not in self._answers:
            try:
                result = self._run(Command(arguments))
            except SchedulerUnavailableError:
                return ""
            if result.exit_code != 0:
                return ""
            self._answers[question] = result.stdout
        return self._answers[question]
