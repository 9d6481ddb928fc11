"""Asking a site how much it lets its users submit."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator

from reflow.plugin_api import Command, CommandResult, Limits, SchedulerUnavailableError

from reflow_slurm import limits


class Site:
    """A site's limits. What does not change while a process lives is asked once."""

    def __init__(
        self,
        run: Callable[[Command], CommandResult],
        scontrol: tuple[str, ...],
        sacctmgr: tuple[str, ...],
    ) -> None:
        """`scontrol` and `sacctmgr` are the words that each of their commands begins with."""
        self._run = run
        self._scontrol = scontrol
        self._sacctmgr = sacctmgr
        self._config: dict[str, str] | None = None
        self._members: list[limits.Membership] | None = None

    def ask(self, account: str | None, qos: object) -> Limits:
        """Find the largest array, and the tightest limit on submitted jobs that Slurm tells of.

        `account` and `qos` are those that jobs ask for, None where they ask for none. Raises
        `SchedulerUnavailableError`.
        """
        if self._config is None:
            result = self._run(Command((*self._scontrol, "show", "config")))
            if result.exit_code != 0:
                raise SchedulerUnavailableError(
                    f"Slurm did not answer: {result.argv[0]}: {result.said}"
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
        """Limits as far as this site lets its users see them."""
        try:
            user = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            # On nodes that do not know the site's users.
            return
        arguments = ("--oneliner", "show", "assoc_mgr", f"users={user}", "flags=assoc,qos")
        result = self._run(Command((*self._scontrol, *arguments)))
        if result.exit_code != 0:
            return
        account = account or limits.default_account(result.stdout, user)
        if account is not None:
            yield from limits.association_places(result.stdout, user, account)
        if qos is None:
            # Asking slurmdbd takes long, and jobs of this run are in the queue nearly always.
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
        """Read what sacctmgr shows; nothing where it may not be asked, or accounting is away."""
        arguments = (*self._sacctmgr, "--noheader", "--parsable2", "show", *arguments)
        try:
            result = self._run(Command(arguments))
        except SchedulerUnavailableError:
            return ""
        return result.stdout if result.exit_code == 0 else ""
