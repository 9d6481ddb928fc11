"""A scheduler that exists in tests only, and a backend for it; its answers are given by the test.

The pond counts elements from 1, prints `ID STATE [INDEX]`, and has accounting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from reflow.plugin_api import (
    ArrayStyle,
    BatchExecutor,
    Command,
    CommandResult,
    ExecutorError,
    JobHandle,
    JobRequest,
    JobState,
    JobStatus,
    NativeState,
    StateTable,
    SubmissionDeferredError,
    SubmissionRefusedError,
    index_list,
)

STATES = StateTable(
    "Pond",
    [
        NativeState("w", "waiting", JobState.QUEUED),
        NativeState("s", "swimming", JobState.RUNNING),
        NativeState("d", "dry", JobState.COMPLETED),
    ],
)


@dataclass(kw_only=True, eq=False)
class PondExecutor(BatchExecutor):
    pondsub: str = "pondsub"
    depth: int = 3

    name: ClassVar[str] = "pond"
    scheduler: ClassVar[str] = "Pond"
    package: ClassVar[str] = "reflow.executors.batch"
    template: ClassVar[str] = "batch.sh.j2"
    array: ClassVar[ArrayStyle] = ArrayStyle(base=1, variable="POND_INDEX")
    states: ClassVar[StateTable] = STATES
    chunk: ClassVar[int] = 3
    transient: ClassVar[tuple[str, ...]] = ("busy",)

    def template_variables(self, request: JobRequest) -> Mapping[str, Any]:
        return {"queue": request.resources.queue, "options": request.resources.options}

    def submit_command(self, script: Path, request: JobRequest, after: JobHandle | None) -> Command:
        waits = () if after is None else ("-after", after.native_id)
        return Command((self.pondsub, *waits, str(script)))

    def parse_submission(self, result: CommandResult) -> str | None:
        return result.stdout.strip() or None

    def submission_error(self, result: CommandResult) -> ExecutorError:
        kind = SubmissionDeferredError if "full" in result.message else SubmissionRefusedError
        return kind(result.message)

    def queue_command(self, handles: Sequence[JobHandle]) -> Command:
        return Command(("pondstat", *(handle.native_id for handle in handles)))

    def parse_queue(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        if result.exit_code:
            raise self.unavailable(result)
        for line in result.stdout.splitlines():
            native_id, state, *index = line.split()
            positions = range(int(index[0]) - 1, int(index[0])) if index else None
            yield JobStatus(
                native_id=native_id, state=STATES.look_up(state).state, positions=positions
            )

    def accounting_command(self, handles: Sequence[JobHandle]) -> Command | None:
        return Command(("pondacct", *(handle.native_id for handle in handles)))

    def parse_accounting(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        return self.parse_queue(result, handles)

    def find_commands(self, token: str) -> Sequence[Command]:
        return [Command(("pondstat", "-n", token)), Command(("pondacct", "-n", token))]

    def parse_found(self, result: CommandResult, token: str) -> Sequence[str]:
        return [line.split()[0] for line in result.stdout.splitlines()]

    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        return Command(("pondkill", *native_ids))

    def check_cancel(self, result: CommandResult) -> None:
        if result.exit_code:
            raise self.unavailable(result)

    def element_ids(self, handle: JobHandle, positions: Sequence[int]) -> Sequence[str]:
        return [f"{handle.native_id}[{index_list(map(self.array.index, positions))}]"]

    def count_command(self) -> Command:
        return Command(("pondstat", "-mine"))

    def parse_count(self, result: CommandResult) -> int:
        return len(result.stdout.splitlines())


@dataclass
class ScriptedRunner:
    """Answers commands in the order in which a test has written the answers down."""

    answers: list[tuple[int, str, str] | Exception] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)

    def run(self, command: Command) -> CommandResult:
        self.commands.append(command)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        exit_code, stdout, stderr = answer
        return CommandResult(argv=command.argv, exit_code=exit_code, stdout=stdout, stderr=stderr)

    @property
    def argvs(self) -> list[tuple[str, ...]]:
        return [command.argv for command in self.commands]
