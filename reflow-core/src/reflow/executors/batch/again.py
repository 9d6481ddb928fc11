"""Jobs that submit themselves again where their work fails: watchdogs.

A watchdog dispatches a run when all other jobs are lost, and may itself start while Python or the
database is not available. Its script then needs only a shell and the scheduler: it writes a mark,
by which the new job is found later, and submits itself again with the same delay. It does so only
if its work failed, and neither once the run has ended nor where the run's folder, and so the mark,
cannot be written.
"""

from __future__ import annotations

import shlex
from datetime import timedelta
from pathlib import Path

from reflow.executors.batch.command import Variables

_SCRIPT = """\
"$@" &
work=$!
# A signal ends the waiting, not the work.
trap 'told=yes; kill -TERM "$work"' TERM INT
told=yes
while [ "$told" ]; do told=; wait "$work"; code=$?; done
if [ "$code" != 0 ] && [ ! -e {ended} ] && touch {mark}; then
  cd -- {directory}
  unset {unset}
  export {exports}
  {submit}
fi
exit "$code"
"""


def once_more(
    command: tuple[str, ...],
    *,
    submit: str,
    ended: Path,
    mark: Path,
    directory: Path,
    variables: Variables,
) -> tuple[str, ...]:
    """Write a command that runs `command` and, where that fails, the line of shell `submit`."""
    text = _SCRIPT.format(
        ended=shlex.quote(str(ended)),
        mark=shlex.quote(str(mark)),
        directory=shlex.quote(str(directory)),
        unset=_unwanted(variables),
        exports=shlex.join(f"{key}={value}" for key, value in variables.environment({}).items()),
        submit=submit,
    )
    return ("/bin/sh", "-c", text, "sh", *command)


def shell_time(delay: timedelta, form: str) -> str:
    """Write a word of shell for the time `delay` after it is run, as date(1) formats it."""
    seconds = int(delay.total_seconds())
    return f"\"$(date -d '{seconds} seconds' '+{form}')\""


def _unwanted(variables: Variables) -> str:
    """Write shell words for the variables that the scheduler's commands must not see."""
    conditions = [f"name !~ /^({'|'.join(('PATH', *variables.kept))})$/"]
    if "" not in variables.dropped:
        conditions.append(f"name ~ /^(REFLOW_NATIVE_ID|{'|'.join(variables.dropped)})/")
    program = f"BEGIN {{ for (name in ENVIRON) if ({' && '.join(conditions)}) print name }}"
    return f"REFLOW_NATIVE_ID $(awk {shlex.quote(program)})"
