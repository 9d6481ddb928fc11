"""The error messages of a scheduler's commands, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reflow.errors import ExecutorError, SubmissionRefusedError
from reflow.executors.batch.command import CommandResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorTable:
    """A scheduler's errors, each recognised by an exit code or by a regular expression."""

    submission: Sequence[tuple[int | str, type[ExecutorError]]] = ()
    """Errors of the submit command that are no refusal, in the order in which they are tried.
    Any other error is a refusal."""
    advice: Sequence[tuple[str, str]] = ()
    """Advice on errors, in the order in which they are tried."""
    over: Sequence[int | str] = ()
    """Errors about jobs that are over or unknown, which leave nothing to be done."""

    def kind(self, message: str, exit_code: int | None = None) -> type[ExecutorError]:
        """Tell whether a submission was refused, deferred, or is uncertain."""
        for sign, kind in self.submission:
            if exit_code == sign or (isinstance(sign, str) and re.search(sign, message)):
                return kind
        return SubmissionRefusedError

    def advised(self, message: str) -> str:
        """Add advice to an error message, where the table has any."""
        for pattern, advice in self.advice:
            if re.search(pattern, message):
                return f"{message.rstrip('.')}. {advice}"
        return message

    def submission_error(
        self, scheduler: str, command: str, message: str, exit_code: int | None = None
    ) -> ExecutorError:
        """Make the exception for a failed submit command, with the scheduler's own message."""
        kind = self.kind(message, exit_code)
        if kind is SubmissionRefusedError:
            return kind(f"{scheduler} refused the job: {self.advised(message)}")
        return kind(f"{command}: {message.removeprefix(f'{command}: ')}")

    def is_done(self, result: CommandResult) -> bool:
        """Tell whether a command succeeded, apart from jobs that are over or unknown."""
        if result.exit_code == 0 or result.exit_code in self.over:
            return True
        patterns = [sign for sign in self.over if isinstance(sign, str)]
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        return bool(lines) and all(
            any(re.search(pattern, line) for pattern in patterns) for line in lines
        )
