"""What a scheduler's commands complain of, and what that means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reflow.errors import ExecutorError, SubmissionRefusedError
from reflow.executors.batch.command import CommandResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorTable:
    """A scheduler's complaints, each known by an exit code or by a regular expression."""

    submission: Sequence[tuple[int | str, type[ExecutorError]]] = ()
    """Complaints of the submit command that are not for good, in the order they are looked for.
    Any other is a refusal."""
    advice: Sequence[tuple[str, str]] = ()
    """What to do about a complaint, in the order it is looked for."""
    over: Sequence[int | str] = ()
    """Complaints about jobs that are over or unknown, which leave nothing undone."""

    def kind(self, said: str, exit_code: int | None = None) -> type[ExecutorError]:
        """Tell whether a submission was refused, deferred, or is uncertain."""
        for sign, kind in self.submission:
            if exit_code == sign or (isinstance(sign, str) and re.search(sign, said)):
                return kind
        return SubmissionRefusedError

    def advised(self, said: str) -> str:
        """Add to a complaint what to do about it, where the table knows."""
        for pattern, advice in self.advice:
            if re.search(pattern, said):
                return f"{said.rstrip('.')}. {advice}"
        return said

    def submission_error(
        self, scheduler: str, command: str, said: str, exit_code: int | None = None
    ) -> ExecutorError:
        """Make the error of a submit command that failed, in the scheduler's own words."""
        kind = self.kind(said, exit_code)
        if kind is SubmissionRefusedError:
            return kind(f"{scheduler} refused the job: {self.advised(said)}")
        return kind(f"{command}: {said.removeprefix(f'{command}: ')}")

    def is_done(self, result: CommandResult) -> bool:
        """Tell whether a command succeeded, but for jobs that are over or unknown."""
        if result.exit_code == 0 or result.exit_code in self.over:
            return True
        patterns = [sign for sign in self.over if isinstance(sign, str)]
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        return bool(lines) and all(
            any(re.search(pattern, line) for pattern in patterns) for line in lines
        )
