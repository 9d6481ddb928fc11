"""Running a scheduler's commands: argument lists, a time limit, a cleaned environment."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reflow.errors import SchedulerUnavailableError
from reflow.executors.batch.silence import Silence
from reflow.permissions import open_file

logger = logging.getLogger("reflow.executors.batch")

_ANYWHERE = Path("/")
"""The default working directory of commands: that of this process may have been removed."""
_SHOWN = 500
"""Characters of a command line that are logged."""


class CommandMissingError(SchedulerUnavailableError):
    """A scheduler's command does not exist on this machine."""

    lasting = True


class CommandTimeoutError(SchedulerUnavailableError):
    """A scheduler's command did not end in time; `message` is what it had printed on stderr."""

    def __init__(self, text: str, message: str = "") -> None:
        super().__init__(text)
        self.message = message


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run. `stdin` is given to it as UTF-8."""

    argv: tuple[str, ...]
    stdin: str = ""
    directory: Path = _ANYWHERE
    """The directory where it runs, if that can be entered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """The output and exit code of a command; a negative code is the signal that ended it."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str = ""
    seconds: float = 0.0

    @property
    def message(self) -> str:
        """What it printed on standard error, on one line; for error messages."""
        words = " ".join((self.stderr.strip() or self.stdout.strip()).split())
        return words or f"exit code {self.exit_code} and no message"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """The variables of the calling process that a scheduler's commands may see."""

    dropped: tuple[str, ...] = ()
    """Prefixes of names that would act as options, or leak into jobs: `POND_`."""
    kept: tuple[str, ...] = ()
    """Names that are passed on in spite of their prefix: `POND_CONF`."""
    added: Mapping[str, str] = field(default_factory=dict)

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a command."""
        passed = {
            name: value
            for name, value in base.items()
            if name in self.kept or not name.startswith(self.dropped)
        }
        return {**passed, "LC_ALL": "C", **self.added}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRunner:
    """Runs commands and logs each of them.

    `record` names a file that gets one line of JSON per command (argv, exit code, seconds), by
    which the calls of a whole run can be counted over all its processes.
    """

    variables: Variables = Variables()
    timeout: float = 60.0
    record: Path | None = None
    silence: Silence = field(default_factory=Silence)

    def run(self, command: Command) -> CommandResult:
        """Run a command to its end, whatever its exit code.

        Raises `CommandMissingError`, `CommandTimeoutError`, and `SchedulerUnavailableError` where
        no process can be started now, or the scheduler was silent a moment ago: then nothing is
        run. The command gets a session of its own, so that a Ctrl-C meant for reflow does not cut
        a submission in half.
        """
        self.silence.check(command.argv[0])
        started = time.monotonic()
        directory = command.directory if _can_be_entered(command.directory) else _ANYWHERE
        try:
            process = subprocess.Popen(
                command.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # PWD as a shell's `cd` sets it: some commands read it.
                env=self.variables.environment({**os.environ, "PWD": str(directory)}),
                cwd=directory,
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError) as error:
            raise CommandMissingError(
                f"the command {command.argv[0]!r} cannot be run here: {error.strerror}. "
                "Is this a machine of the cluster? A command that is not on PATH can be named "
                "in the settings of the executor."
            ) from error
        except OSError as error:
            # This machine has no free process or memory for it.
            raise SchedulerUnavailableError(
                f"the command {command.argv[0]!r} could not be started: {error.strerror}"
            ) from error
        with process:
            out, err = self._communicate(process, command)
        result = CommandResult(
            argv=command.argv,
            exit_code=process.returncode,
            stdout=out.decode("utf-8", "replace"),
            stderr=err.decode("utf-8", "replace"),
            seconds=time.monotonic() - started,
        )
        self.silence.answered(command.argv[0])
        self._note(command, result.exit_code, result.seconds)
        return result

    def _communicate(
        self, process: subprocess.Popen[bytes], command: Command
    ) -> tuple[bytes, bytes]:
        try:
            return process.communicate(
                command.stdin.encode("utf-8", "surrogateescape"), self.timeout
            )
        except subprocess.TimeoutExpired as expired:
            _end(process)
            self._note(command, None, self.timeout)
            message = f"{command.argv[0]} did not answer within {self.timeout:g} s"
            self.silence.add(command.argv[0], message)
            words = (expired.stderr or b"").decode("utf-8", "replace")
            raise CommandTimeoutError(message, words) from expired
        except BaseException:
            _end(process)
            raise

    def _note(self, command: Command, exit_code: int | None, seconds: float) -> None:
        shown = shlex.join(command.argv)
        if len(shown) > _SHOWN:
            shown = f"{shown[:_SHOWN]}..."
        logger.debug("%s -> %s in %.2f s", shown, exit_code, seconds)
        if self.record is not None:
            line = {"argv": command.argv, "exit_code": exit_code, "seconds": round(seconds, 3)}
            # The command has had its effect, whether or not it can be recorded.
            with (
                contextlib.suppress(OSError),
                open_file(self.record, "a", encoding="utf-8", errors="replace") as file,
            ):
                file.write(json.dumps(line) + "\n")


def _can_be_entered(directory: Path) -> bool:
    # With the final dot, which a path object would drop, a file does not pass for a folder.
    return os.access(f"{directory}/.", os.X_OK)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a command and its children: many sites wrap the scheduler's commands in scripts."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
