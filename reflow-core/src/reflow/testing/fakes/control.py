"""`FakeScheduler`: a test's handle on a fake."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_LAST_LINES = 20
"""How many lines of a fake's log an error shows."""


class FakeError(Exception):
    """A fake scheduler could not do what a test asked of it."""


@dataclass(frozen=True)
class FakeJob:
    """One task of a fake scheduler: a plain job or an array element."""

    id: str
    """The id as the scheduler writes it."""
    number: int
    name: str
    index: int | None
    phase: str
    """`pending`, `running`, `ending` or `over`."""
    why: str | None
    """`exited`, `cancelled`, `walltime`, `memory`, `node`, `launch`, `dependency`..."""
    runs: int
    """How many times it was started."""
    code: int | None
    signal: int | None
    pid: int | None
    known: bool
    """Whether the scheduler still remembers it."""
    submitted: float
    started: float | None
    ended: float | None


@dataclass(frozen=True)
class FakeCall:
    """One call of a command."""

    name: str
    arguments: list[str]
    code: int | None
    """None where the caller went away or was killed before it was answered."""
    seconds: float
    began: float


class FakeScheduler:
    """A strict fake scheduler that really runs what is submitted to it.

        with FakeScheduler("pond_fake:PondEmulator", tmp_path) as fake:
            subprocess.run(["pondsub", "job.sh"], env=fake.environment)

    `target` is `module:Class` of an emulator, which the fake imports from this process' `sys.path`.
    Keywords are settings of the site (see the emulator's settings class). When the block ends no
    process remains.
    """

    def __init__(self, target: str, folder: Path | None = None, **settings: Any) -> None:
        if ":" not in target:
            raise FakeError(f"{target!r} names no fake: say module:Class of its emulator")
        self.target = target
        self.name = target.partition(":")[0].rpartition(".")[2]
        """The last part of the module's name."""
        self._settings = settings
        self._log_folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._environment_before: dict[str, str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the fake."""
        # Not below the test's own folder: a socket's path may have 107 bytes at most.
        self._folder = Path(tempfile.mkdtemp(prefix="fake-"))
        log = self._folder if self._log_folder is None else self._log_folder
        self._log = log / f"{self.name}-fake.log"
        with self._log.open("ab") as errors:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "reflow.testing.fakes.supervisor",
                    self.target,
                    str(self._folder),
                    json.dumps(self._settings),
                    json.dumps([str(Path(entry).resolve()) for entry in sys.path]),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        if not ready:
            self.close()
            raise FakeError(f"the fake did not start:\n{self._last_words()}")
        self.variables: dict[str, str] = {
            "PATH": f"{self.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            **json.loads(ready)["variables"],
        }
        """The environment variables by which the fake's commands are found and work."""

    def close(self) -> None:
        """End the fake and every process that was started below it."""
        self.deactivate()
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:  # pragma: no cover (a defect of the fake itself)
            process.send_signal(signal.SIGKILL)
            process.wait()
        process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def bin(self) -> Path:
        """The folder with its commands."""
        return self._folder / "bin"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of this process, changed so that the fake's commands come first."""
        return {**os.environ, **self.variables}

    def activate(self) -> None:
        """Put the fake's commands on this process' own PATH until it is closed."""
        self._environment_before = dict(os.environ)
        os.environ.update(self.variables)

    def deactivate(self) -> None:
        """Undo `activate`."""
        before, self._environment_before = self._environment_before, None
        if before is not None:
            for name in self.variables:
                if name in before:
                    os.environ[name] = before[name]
                else:
                    os.environ.pop(name, None)

    # Looking

    def jobs(self) -> list[FakeJob]:
        """Return every plain job and array element ever submitted, oldest first."""
        return [FakeJob(**one) for one in self.do("jobs")]

    def job(self, native_id: str) -> FakeJob:
        """Find the plain job or element with that id. Raises `FakeError` where there is none."""
        for one in self.jobs():
            if one.id == native_id:
                return one
        raise FakeError(f"the fake has no job {native_id!r}")

    @property
    def calls(self) -> list[FakeCall]:
        """Every ended call of a command, oldest first."""
        return [FakeCall(**one) for one in self.do("calls")]

    def count(self, *names: str) -> int:
        """Count the calls of these commands; of all where none is named."""
        counted = Counter(call.name for call in self.calls)
        return sum(counted[name] for name in names or counted)

    def forget_calls(self) -> None:
        """Forget the calls so far."""
        self.do("forget_calls")

    def wait_for(self, job: str, *phases: str, timeout: float = 30.0) -> list[FakeJob]:
        """Wait until every task of a job is in one of these phases (`over` by default)."""
        wanted = list(phases or ("over",))
        found = self.do("wait_for", job=job, phases=wanted, timeout=timeout)
        return [FakeJob(**one) for one in found]

    def wait_until_idle(self, timeout: float = 60.0) -> None:
        """Wait until nothing waits or runs any more."""
        self.do("wait_until_idle", timeout=timeout)

    # The scheduler as a whole

    def configure(self, **settings: Any) -> None:
        """Change settings of the site while it runs."""
        self.do("configure", **settings)

    def advance(self, seconds: float) -> None:
        """Move the scheduler's clock: begin times come, walltimes end, old jobs are forgotten."""
        self.do("advance", seconds=seconds)

    def skip_numbers(self, count: int) -> None:
        """Use up job numbers, as refused submissions and other users do."""
        self.do("skip_numbers", count=count)

    def pause(self) -> None:
        """Start no job until `unpause`: what is submitted stays queued."""
        self.do("pause")

    def unpause(self) -> None:
        """Start jobs again."""
        self.do("unpause")

    def go_down(self) -> None:
        """Stop the scheduler's daemon: commands fail or hang as the real ones do, jobs go on."""
        self.do("go_down")

    def come_up(self) -> None:
        """Start the daemon again."""
        self.do("come_up")

    # Faults

    def slow(self, command: str, seconds: float, times: int | None = None) -> None:
        """Make a command take that many seconds; `*` is any command."""
        self.do("plant", command=command, kind="slow", seconds=seconds, times=times)

    def hang(self, command: str, times: int | None = 1) -> None:
        """Make a command hang without being carried out."""
        self.do("plant", command=command, kind="hang", times=times)

    def fail(
        self, command: str, stderr: str, code: int = 1, *, times: int | None = 1, word: str = ""
    ) -> None:
        """Make a command fail with that text and code without being carried out.

        With `word`, only calls that have it among their arguments.
        """
        reply = {"stderr": stderr if stderr.endswith("\n") else stderr + "\n", "code": code}
        self.do("plant", command=command, kind="fail", reply=reply, times=times, word=word)

    def lose_next_answer(self, command: str, *, silently: bool = False) -> None:
        """Make the next call of a command be carried out and its answer get lost.

        The command then fails as the real one does when no answer comes, or, `silently`, dies of
        SIGKILL and prints nothing.
        """
        self.do("plant", command=command, kind="lose_silently" if silently else "lose")

    def clear_faults(self) -> None:
        """Remove the faults that have not been used up."""
        self.do("clear_faults")

    # Single jobs

    def kill(self, job: str, signal_number: int = signal.SIGKILL) -> None:
        """Kill a job's processes from outside the scheduler."""
        self.do("kill", job=job, signal_number=int(signal_number))

    def exceed_memory(self, job: str) -> None:
        """Have running tasks killed as if they had used more memory than they asked for."""
        self.do("exceed_memory", job=job)

    def lose_node(self, job: str, *, processes_survive: bool = False) -> None:
        """Make the node of a running job fail; its processes may live on unseen."""
        self.do("lose_node", job=job, processes_survive=processes_survive)

    def requeue(self, job: str) -> None:
        """Kill and requeue running tasks, as an administrator can."""
        self.do("requeue", job=job)

    def preempt(self, job: str) -> None:
        """Preempt a running job; it is requeued where it may be run again."""
        self.do("preempt", job=job)

    def age_out(self, jobs: Iterable[str] | None = None, *, accounting: bool = False) -> None:
        """Make the scheduler forget finished jobs; all of them where none is named.

        With `accounting`, accounting forgets them too.
        """
        chosen = None if jobs is None else list(jobs)
        self.do("age_out", jobs=chosen, accounting=accounting)

    def vanish(self, job: str) -> None:
        """Remove a job from queue and accounting as if it had never been submitted."""
        self.do("vanish", job=job)

    def do(self, operation: str, **keywords: Any) -> Any:
        """Call an operation of the supervisor or of the emulator by its name."""
        words = ("control", "/", "18", str(os.getuid()), "3", "control", operation)
        request = "\0".join((*words, json.dumps(keywords))).encode()
        try:
            code, stdout, stderr = self._exchange(request)
        except OSError as error:
            raise FakeError(f"the fake has died:\n{self._last_words()}") from error
        if code:
            raise FakeError(stderr.decode())
        return json.loads(stdout)

    def _exchange(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Send a request, and read exit code and output. Raises `OSError` without an answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.connect(str(self._folder / "socket"))
            link.sendall(b"%10d" % len(request) + request)
            with link.makefile("rb") as answers:
                printed = {b"o": b"", b"e": b""}
                while (kind := answers.read(1)) != b"x":
                    if not kind:
                        raise ConnectionResetError
                    printed[kind] += answers.read(int(answers.read(10)))
                return int(answers.read(int(answers.read(10)))), printed[b"o"], printed[b"e"]

    def _last_words(self) -> str:
        """Read the end of the fake's log, where its traceback is."""
        lines = self._log.read_text(errors="replace").splitlines()
        more = [f"... ({self._log} has more)"] if len(lines) > _LAST_LINES else []
        return "\n".join([*more, *lines[-_LAST_LINES:]]) or f"it printed nothing to {self._log}"
