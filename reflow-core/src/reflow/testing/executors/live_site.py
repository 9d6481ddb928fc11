"""A real scheduler as a site."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from reflow.testing.executors.site import Site

_WRAPPER = """\
#!/bin/sh
# Does to a command of the scheduler what files beside this one say.
{faults}
exec {command} "$@"
"""
_FAULTS = """\
case " $* " in
*{word}*)
    if [ -e {fault}.hang ]; then exec sleep 600; fi
    if [ -e {fault}.slow ]; then sleep "$(cat {fault}.slow)"; fi
    if mv {fault}.lose {fault}.lost 2>/dev/null; then
        {command} "$@" >/dev/null
        kill -KILL $$
    fi ;;
esac
"""
_LONGEST_WAIT = 150.0
"""How long a scenario may wait for anything, in seconds."""


class LiveSite(Site):
    """The scheduler whose commands are on PATH.

    Its daemon and its nodes are left alone; its commands are wrapped, in a folder that comes
    first on PATH, so that they can be made slow, hang and lose an answer.
    """

    remote = True

    def __init__(self, folder: Path, submit: str, queries: tuple[str, ...]) -> None:
        self._folder = folder / "commands"
        self._submit = submit
        self._queries = queries

    @property
    def name(self) -> str:
        """The name, after its submit command."""
        return f"the scheduler of {self._submit}"

    @property
    def patience(self) -> float:
        """How long a scenario may wait: real schedulers may start jobs late."""
        return 280.0

    @property
    def variables(self) -> Mapping[str, str]:
        """PATH with the wrapped commands first."""
        return {"PATH": f"{self._folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}

    def start(self) -> None:
        """Write the wrappers of the commands."""
        self._folder.mkdir()
        for command in {text.split()[0] for text in (self._submit, *self._queries)}:
            found = shutil.which(command)
            assert found is not None
            texts = {text for text in (self._submit, *self._queries) if text.split()[0] == command}
            faults = [
                _FAULTS.format(
                    command=shlex.quote(found),
                    word=shlex.quote(f" {text.partition(' ')[2]} ") if " " in text else "",
                    fault=shlex.quote(str(self._fault(text, ""))),
                )
                for text in texts
            ]
            wrapper = self._folder / command
            wrapper.write_text(_WRAPPER.format(faults="".join(faults), command=shlex.quote(found)))
            wrapper.chmod(0o755)

    def mend(self) -> None:
        """Make the wrapped commands behave as usual again."""
        for fault in self._folder.glob("fault-*.*"):
            fault.unlink()

    def let_time_pass(self, seconds: float) -> None:
        """Do nothing: time passes by itself, and scenarios wait for what is to come."""
        if seconds > _LONGEST_WAIT:
            self.lacks(f"let {seconds:.0f} s pass")

    def slow_queries(self, seconds: float) -> None:
        """Delay the query commands."""
        for text in self._queries:
            self._fault(text, ".slow").write_text(str(seconds))

    def hang_queries(self) -> None:
        """Make the query commands hang."""
        for text in self._queries:
            self._fault(text, ".hang").touch()

    def lose_next_answer(self) -> None:
        """Make the next submit command submit the job and print nothing."""
        self._fault(self._submit, ".lose").touch()

    def _fault(self, text: str, kind: str) -> Path:
        return self._folder / f"fault-{text.replace(' ', '-')}{kind}"
