"""The fake `bkill`, `bstop` and `bresume`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from reflow.testing.fakes import processes
from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import Parsed
from reflow.testing.fakes.model import Phase, Task

from tests.fakes.lsf import grammar
from tests.fakes.lsf.jobs import VERSION, LsfJob, check_references

if TYPE_CHECKING:
    from tests.fakes.lsf.emulator import LsfEmulator


class Change:
    """What these commands have in common."""

    name = ""
    done = ""
    """What becomes of a job, for the answer."""

    def __init__(self, emulator: LsfEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Change the jobs named."""
        usage = f"Usage: {self.name} [-h] [-V] [-J job_name] [-u user_name] [jobId ...]"
        line = grammar.parse(self.name, call.arguments, "hVlrb", "gJmqus", usage)
        if line.has("V"):
            return Reply(stderr=f"{VERSION}\n")
        check_references([word for word in line.operands if word != "0"])
        if not line.operands and not line.has("J", "u", "q", "m"):
            raise Refusal(f"Job ID or one of the options must be specified.\n{usage}", 255)
        if line.operands in ([], ["0"]):
            return self._chosen(line, call)
        said = errors = ""
        for word in line.operands:
            text, problem = self._one(word, line, call)
            said += text
            errors += problem
        return Reply(said, errors, 255 if errors else 0)

    def _chosen(self, line: Parsed, call: Call) -> Reply:
        said = ""
        for job in self._emulator.known_jobs():
            named = not line.has("J") or line.last("J") in (job.name, job.spec)
            if named and line.last("u", call.user) in ("all", job.user):
                for task in self._able(job.present):
                    said += self._tell(task)
                    self.change(task, line, call)
        if not said:
            return Reply(stderr="No matching job found\n", code=255)
        return Reply(said)

    def _one(self, word: str, line: Parsed, call: Call) -> tuple[str, str]:
        found = self._emulator.known_tasks(word)
        if not found:
            return "", f"Job <{word}>: No matching job found\n"
        tasks = self._able(found)
        if not tasks:
            return "", f"Job <{word}>: Job has already finished\n"
        job = tasks[0].job
        assert isinstance(job, LsfJob)
        if job.uid != call.uid and call.uid != 0:
            return "", f"Job <{word}>: User permission denied\n"
        if job.is_array and "[" not in word:
            return self.change_array(tasks, line, call)
        for task in tasks:
            self.change(task, line, call)
        return "".join(self._tell(task) for task in tasks), ""

    def change_array(self, tasks: list[Task], line: Parsed, call: Call) -> tuple[str, str]:
        """Change the elements of an array that was named as a whole; what to say of it."""
        for task in tasks:
            self.change(task, line, call)
        number = tasks[0].job.number
        return f"Job <{number}> is being {self.done}\n", ""

    def _tell(self, task: Task) -> str:
        return f"Job <{self._emulator.native_id(task)}> is being {self.done}\n"

    def _able(self, tasks: list[Task]) -> list[Task]:
        return [task for task in tasks if task.phase is not Phase.OVER]

    def change(self, task: Task, line: Parsed, call: Call) -> None:
        """Change one task."""
        raise NotImplementedError


class Bkill(Change):
    """The command."""

    name = "bkill"
    done = "terminated"

    def change_array(self, tasks: list[Task], line: Parsed, call: Call) -> tuple[str, str]:
        """It is noted for later: what runs is ended, and what waits may start all the same."""
        for task in tasks:
            if task.phase is not Phase.PENDING:
                self._end(task, line, by="")
        return "", f"Job <{tasks[0].job.number}>: Operation is in progress\n"

    def change(self, task: Task, line: Parsed, call: Call) -> None:
        """End a task, or send it a signal."""
        self._end(task, line, by=call.user)

    def _end(self, task: Task, line: Parsed, by: str) -> None:
        text = line.last("s").upper().removeprefix("SIG")
        if text in ("", "KILL", "9", "TERM", "15", "INT", "2") or task.phase is Phase.PENDING:
            self._emulator.engine.cancel(task, by=by)
        elif text.isdigit() or f"SIG{text}" in signal.Signals.__members__:
            number = int(text) if text.isdigit() else int(signal.Signals[f"SIG{text}"])
            if task.run is not None:
                processes.signal_group(task.run.pid, number)
        else:
            raise Refusal(f"{line.last('s')}: Illegal signal value", 255)


class Bstop(Change):
    """The command."""

    name = "bstop"
    done = "stopped"

    def change(self, task: Task, line: Parsed, call: Call) -> None:
        """Hold what waits, stop what runs."""
        if task.phase is Phase.PENDING:
            self._emulator.engine.hold(task.job, "user")
        elif task.run is not None:
            task.run.suspended = True
            processes.signal_group(task.run.pid, signal.SIGSTOP)


class Bresume(Change):
    """The command."""

    name = "bresume"
    done = "resumed"

    def change(self, task: Task, line: Parsed, call: Call) -> None:
        """Release what is held, let go on what is stopped."""
        if task.phase is Phase.PENDING:
            self._emulator.engine.release(task.job, "user")
        elif task.run is not None:
            task.run.suspended = False
            processes.signal_group(task.run.pid, signal.SIGCONT)
