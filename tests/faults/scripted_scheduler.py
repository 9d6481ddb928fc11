"""A batch scheduler of the tests' own: it really runs jobs, and can be told to fail.

Everything it knows is in a folder, so that it outlives whoever submits:

    jobs/ID.json       what was submitted; a job is accepted once its file is there
    cancelled/ID[.N]   who is to end
    told.json          how every element stands, for whoever polls
    troubles.json      what goes wrong on purpose, see `Trouble` and `JobFault`
    peak               the most elements that were in the queue at once
    calls              a line for each call to the executor, as each is a command of a real one
    jobs-may-not       there where jobs may not use the executor
    variables.json     what jobs have in their environment besides
    wake               a pipe that is written to after every change
    closed             there once nothing is to run any more

The scheduler itself lives in a process (`python -m tests.faults.scripted_scheduler FOLDER`, for
all `scripted-*` in a folder, or a harness) that forks a child for each element, so that nothing is
imported twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.executors.contract import API_VERSION
from reflow.model.jobs import (
    Capabilities,
    JobHandle,
    JobRequest,
    JobStatus,
    Limits,
    Submission,
)
from reflow.model.json import Json
from reflow.model.states import FailureCause, JobState
from reflow.plugins.hookspecs import ExecutorPlugin

KILL_AFTER = 2.0
"""Seconds between the scheduler's SIGTERM and its SIGKILL."""


@dataclass
class Trouble:
    """Something that goes wrong with a call to the executor."""

    call: str
    """`submit`, `poll`, `find`, `cancel` or `limits`."""
    what: str
    """For `submit`: `refuse`, `defer`, `lose` (not accepted, no answer), `swallow` (accepted, no
    answer), `late` (the same, and nothing is seen of it before its file in `late` is moved to
    `jobs`), `lack` (refuse to leave machines out), `stop` (who submits is stopped, before
    anything is accepted). For the others, `away`; for `find` also `blind` (it shows nothing
    yet)."""
    word: str = ""
    """Only for jobs whose token begins so."""
    times: int = 1


@dataclass
class JobFault:
    """Something that befalls elements."""

    what: str
    """A cause (`memory`, `walltime`, `node`, `preempted`), `kill` (SIGKILL once it runs), `vanish`
    (never runs, and is forgotten), `forget` (runs, and is forgotten), `complete` (never runs, and
    is said to have ended well), `impossible` (waits for ever), `cancel` (cancelled by somebody
    else), `warn` (SIGTERM once there is a file `begun`, then the cause WALLTIME), `murder`
    (SIGKILL once there is a file `begun`), `requeue` (the same, then it is started once more)."""
    word: str
    """For jobs whose token begins so."""
    position: int | None = None
    times: int = 1


class Folder:
    """The scheduler's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jobs = path / "jobs"
        self.late = path / "late"
        self.cancelled = path / "cancelled"
        self.told = path / "told.json"
        self.troubles = path / "troubles.json"
        self.peak = path / "peak"
        self.calls = path / "calls"
        self.wake = path / "wake"

    def make(self) -> Folder:
        for folder in (self.jobs, self.late, self.cancelled):
            folder.mkdir(parents=True, exist_ok=True)
        # The test and the scheduler may both be at it.
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self.wake)
        return self

    def nudge(self) -> None:
        with contextlib.suppress(OSError):
            descriptor = os.open(self.wake, os.O_WRONLY | os.O_NONBLOCK)
            os.write(descriptor, b".")
            os.close(descriptor)

    def arrange(self, *items: Trouble | JobFault) -> None:
        """Have things go wrong from now on."""
        with self._locked() as known:
            known["troubles"] += [asdict(item) for item in items if isinstance(item, Trouble)]
            known["faults"] += [asdict(item) for item in items if isinstance(item, JobFault)]

    def trouble(self, call: str, token: str = "") -> str:
        """What goes wrong with this call; empty when nothing does."""
        with self.calls.open("a") as calls:
            calls.write(f"{call} {token}\n")
        if "REFLOW_NATIVE_ID" in os.environ and (self.path / "jobs-may-not").exists():
            raise SchedulerUnavailableError("this is no submit host")
        if not self.troubles.exists():
            return ""
        with self._locked() as known:
            for item in known["troubles"]:
                if item["call"] == call and token.startswith(item["word"]) and item["times"]:
                    item["times"] -= 1
                    return str(item["what"])
        return ""

    def fault(self, token: str, position: int) -> str:
        """What befalls this element; empty when nothing does."""
        if not self.troubles.exists():
            return ""
        with self._locked() as known:
            for item in known["faults"]:
                fits = item["position"] in (None, position)
                if token.startswith(item["word"]) and fits and item["times"]:
                    item["times"] -= 1
                    return str(item["what"])
        return ""

    @contextlib.contextmanager
    def _locked(self) -> Iterator[dict[str, list[dict[str, Any]]]]:
        with (self.path / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known: dict[str, list[dict[str, Any]]] = {"troubles": [], "faults": []}
            if self.troubles.exists():
                known = json.loads(self.troubles.read_text())
            yield known
            write(self.troubles, known)

    @property
    def variables(self) -> dict[str, str]:
        """What jobs have in their environment besides what is submitted."""
        path = self.path / "variables.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def set_variable(self, name: str, value: str) -> None:
        """Have jobs find a variable in their environment."""
        write(self.path / "variables.json", {**self.variables, name: value})

    def submitted(self) -> dict[str, dict[str, Any]]:
        """Every job by id, in the order of submission."""
        found = {}
        for path in sorted(self.jobs.glob("[0-9]*.json")):
            found[path.stem] = json.loads(path.read_text())
        return found

    def standing(self) -> dict[str, dict[str, list[Any]]]:
        """By job and position: state, cause, exit code, signal, reason."""
        return json.loads(self.told.read_text()) if self.told.exists() else {}

    def in_queue(self) -> dict[str, int]:
        """By job, how many of its elements are queued or running."""
        standing = self.standing()
        found = {}
        for name, job in self.submitted().items():
            size = job["size"] or 1
            told = standing.get(name, {}).values()
            over = sum(item[0] not in ("QUEUED", "RUNNING", "IMPOSSIBLE") for item in told)
            if size > over:
                found[name] = size - over
        return found


def write(path: Path, data: object) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(data))
    temporary.replace(path)


class ScriptedExecutor:
    """The scheduler's backend."""

    name = "scripted"
    capabilities = Capabilities(exclude_hosts=True)

    def __init__(
        self,
        *,
        folder: str,
        max_array_size: int | None = None,
        max_submit_jobs: int | None = None,
    ) -> None:
        self._folder = Folder(Path(folder))
        self._max_array_size = max_array_size
        self._max_submit_jobs = max_submit_jobs
        self._settings: dict[str, Json] = {
            "folder": folder,
            "max_array_size": max_array_size,
            "max_submit_jobs": max_submit_jobs,
        }

    @property
    def settings(self) -> Mapping[str, Json]:
        return self._settings

    def limits(self) -> Limits:
        self._check("limits")
        return Limits(
            max_array_size=self._max_array_size,
            max_submit_jobs=self._max_submit_jobs,
            queued_jobs=sum(self._folder.in_queue().values()),
        )

    def script(self, request: JobRequest) -> str:
        return " ".join(request.command)

    def submit(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        job = self._submit_one(request, None)
        if follow_up is None:
            return Submission(job)
        try:
            return Submission(job, self._submit_one(follow_up, job.native_id))
        except (SubmissionRefusedError, SchedulerUnavailableError, SubmissionDeferredError):
            return Submission(job)

    def _submit_one(self, request: JobRequest, after: str | None) -> JobHandle:
        trouble = self._folder.trouble("submit", request.token)
        if trouble == "lack" and request.excluded_hosts:
            raise SubmissionRefusedError("there are no other machines")
        if trouble == "refuse":
            raise SubmissionRefusedError("no such queue: nowhere")
        if trouble == "defer":
            raise SubmissionDeferredError("the scheduler is busy, come back later")
        if trouble == "stop":
            (self._folder.path / "stopped").write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGSTOP)
        if trouble == "lose":
            raise SubmissionUncertainError("the scheduler did not answer in time")
        if request.size is not None and request.size > (self._max_array_size or request.size):
            raise SubmissionRefusedError(f"an array of {request.size} is too large")
        queued = sum(self._folder.in_queue().values()) + (request.size or 1)
        if self._max_submit_jobs is not None and queued > self._max_submit_jobs:
            raise SubmissionDeferredError(f"{queued} jobs are too many")
        self._note_peak(queued)
        native_id = f"{time.time_ns()}-{os.getpid()}"
        begin = 0.0 if request.begin_in is None else request.begin_in.total_seconds()
        folder = self._folder.late if trouble == "late" else self._folder.jobs
        write(
            folder / f"{native_id}.json",
            {
                "token": request.token,
                "command": list(request.command),
                "directory": str(request.directory),
                "working_directory": str(request.working_directory),
                "environment": dict(request.environment),
                "size": request.size,
                "throttle": request.throttle,
                "after": after,
                "begins_at": time.time() + begin if begin else 0.0,
                "time": request.resources.time and request.resources.time.total_seconds(),
                "mem": request.resources.mem,
                "excluded": list(request.excluded_hosts),
            },
        )
        self._folder.nudge()
        if trouble in ("swallow", "late"):
            raise SubmissionUncertainError("the scheduler did not answer in time")
        return JobHandle(native_id=native_id, token=request.token, size=request.size)

    def _note_peak(self, queued: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            queued = max(queued, int(self._folder.peak.read_text()))
        write(self._folder.peak, queued)

    def find(self, token: str) -> Sequence[JobHandle]:
        trouble = self._folder.trouble("find", token)
        if trouble == "away":
            raise SchedulerUnavailableError("the scheduler is away")
        if trouble == "blind":
            return []
        return [
            JobHandle(native_id=name, token=token, size=job["size"])
            for name, job in self._folder.submitted().items()
            if job["token"] == token
        ]

    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        self._check("poll")
        known, standing = self._folder.submitted(), self._folder.standing()
        return [status for handle in handles for status in _statuses(handle, known, standing)]

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        self._check("cancel")
        for handle in handles:
            (self._folder.cancelled / handle.native_id).touch()
        self._folder.nudge()

    def cancel_positions(self, handle: JobHandle, positions: Sequence[int]) -> None:
        self._check("cancel")
        for position in positions:
            (self._folder.cancelled / f"{handle.native_id}.{position}").touch()
        self._folder.nudge()

    def wait(self, timeout: float) -> None:
        time.sleep(timeout)

    def close(self) -> None:
        pass

    def _check(self, call: str) -> None:
        if self._folder.trouble(call):
            raise SchedulerUnavailableError("the scheduler is away")


def _statuses(
    handle: JobHandle, known: Mapping[str, Any], standing: Mapping[str, Any]
) -> Iterator[JobStatus]:
    # Elements of arrays go by `ID_POSITION` in claims.
    name, _, element = handle.native_id.partition("_")
    if name not in known:
        yield JobStatus(native_id=handle.native_id, state=JobState.UNKNOWN)
        return
    size = known[name]["size"] or 1
    chosen = [int(element)] if element else range(size)
    for position in chosen:
        told = standing.get(name, {}).get(str(position), ["QUEUED", None, None, None, ""])
        state, cause, exit_code, number, reason = told
        impossible = state == "IMPOSSIBLE"
        yield JobStatus(
            native_id=handle.native_id,
            state=JobState.QUEUED if impossible else JobState(state),
            positions=None if element else range(position, position + 1),
            cause=None if cause is None else FailureCause(cause),
            exit_code=exit_code,
            signal=number,
            reason=reason,
            impossible=impossible,
            host="millhouse",
        )


PLUGIN = ExecutorPlugin(
    name="scripted",
    target="tests.faults.scripted_scheduler:ScriptedExecutor",
    api_version=API_VERSION,
)


# -- the scheduler itself ------------------------------------------------------------------------


@dataclass
class _Job:
    token: str
    command: list[str]
    directory: str
    working_directory: str
    environment: dict[str, str]
    size: int | None
    throttle: int | None
    after: str | None
    begins_at: float
    rest: dict[str, Any]
    waiting: list[int] = field(default_factory=list)
    told: dict[str, list[Any]] = field(default_factory=dict)
    forgotten: set[int] = field(default_factory=set)
    lives: Counter[int] = field(default_factory=Counter)
    """How often positions were started."""

    @property
    def over(self) -> bool:
        return len(self.told) == (self.size or 1) and all(
            item[0] not in ("QUEUED", "RUNNING", "IMPOSSIBLE") for item in self.told.values()
        )


@dataclass
class _Child:
    job: str
    position: int
    fault: str
    kill_at: float = 0.0


class ScriptedScheduler:
    """Runs what is submitted, a few elements at a time."""

    def __init__(self, folder: Path, slots: int = 4) -> None:
        self.folder = Folder(folder).make()
        self._slots = slots
        self._jobs: dict[str, _Job] = {}
        self._children: dict[int, _Child] = {}
        self._changed = False
        """Whether anything happened that `told` does not say yet."""
        self.wake = os.open(self.folder.wake, os.O_RDWR | os.O_NONBLOCK)
        self.in_child: Callable[[list[str]], None] = lambda command: None
        """Called in each child before its work."""
        self.cause_of_kills: str | None = None
        """What is said of a child that somebody else has killed; its signal where that is None."""

    @property
    def told_to_close(self) -> bool:
        """Whether its test is over."""
        return (self.folder.path / "closed").exists()

    @property
    def busy(self) -> bool:
        """Whether anything runs."""
        return bool(self._children)

    @property
    def idle(self) -> bool:
        """Whether nothing runs, waits, or will begin."""
        self._accept()
        return not self._children and all(
            job.over or "IMPOSSIBLE" in {item[0] for item in job.told.values()}
            for job in self._jobs.values()
        )

    def turn(self, longest: float = 0.05) -> None:
        """Do what there is to do, having waited for something to do."""
        select.select([self.wake], [], [], min(longest, self._until_begin()))
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake, 4096)
        self._accept()
        self._reap()
        self._cancel()
        self._start()
        self._publish()

    def _until_begin(self) -> float:
        begins = [job.begins_at for job in self._jobs.values() if job.waiting and job.begins_at]
        return max(0.0, min(begins, default=time.time() + 60) - time.time())

    def _accept(self) -> None:
        for path in sorted(self.folder.jobs.glob("[0-9]*.json")):
            if path.stem in self._jobs:
                continue
            data = json.loads(path.read_text())
            own = {key: data.pop(key) for key in list(data) if key in _Job.__dataclass_fields__}
            job = self._jobs[path.stem] = _Job(**own, rest=data)
            job.waiting = list(range(job.size or 1))

    def _start(self) -> None:
        for name, job in self._jobs.items():
            if job.begins_at > time.time():
                continue
            if job.after is not None and not self._is_over(job.after):
                continue
            running = sum(child.job == name for child in self._children.values())
            most = job.throttle or self._slots
            while job.waiting and len(self._children) < self._slots and running < most:
                running += self._start_one(name, job, job.waiting.pop(0))

    def _is_over(self, name: str) -> bool:
        return name not in self._jobs or self._jobs[name].over

    def _start_one(self, name: str, job: _Job, position: int) -> bool:
        fault = self.folder.fault(job.token, position)
        if fault in ("memory", "walltime", "node", "preempted"):
            self._tell(name, position, "FAILED", cause=fault.upper())
        elif fault == "vanish":
            job.forgotten.add(position)
            self._tell(name, position, "UNKNOWN")
        elif fault == "complete":
            self._tell(name, position, "COMPLETED")
        elif fault == "cancel":
            self._tell(name, position, "CANCELLED")
        elif fault == "impossible":
            self._tell(name, position, "IMPOSSIBLE", reason="no machine is large enough")
        else:
            if fault == "forget":
                job.forgotten.add(position)
            self._run(name, job, position, fault)
            return True
        return False

    def _run(self, name: str, job: _Job, position: int, fault: str) -> None:
        command = list(job.command)
        native_id = name
        if job.size is not None:
            command.append(str(position))
            native_id = f"{name}_{position}"
        environment = {
            **job.environment,
            **self.folder.variables,
            "REFLOW_NATIVE_ID": native_id,
            "REFLOW_INCARNATION": str(job.lives[position]),
        }
        job.lives[position] += 1
        pid = fork_python(
            command,
            cwd=job.working_directory,
            log=Path(job.directory) / "scheduler.log",
            environment=environment,
            first=lambda: self.in_child(command),
        )
        self._children[pid] = _Child(name, position, fault)
        self._tell(name, position, "RUNNING")
        if fault == "kill":
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        now = time.monotonic()
        for pid, child in list(self._children.items()):
            if child.kill_at and child.kill_at < now:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            begun = (self.folder.path / "begun").exists()
            if child.fault == "warn" and begun and not child.kill_at:
                child.kill_at = now + KILL_AFTER
                os.kill(pid, signal.SIGTERM)
            if child.fault in ("murder", "requeue") and begun:
                os.kill(pid, signal.SIGKILL)
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self._children[pid]
            code = os.waitstatus_to_exitcode(status)
            if child.fault == "requeue":
                self._run(child.job, self._jobs[child.job], child.position, "")
            elif child.fault == "warn":
                self._tell(child.job, child.position, "FAILED", cause="WALLTIME")
            elif child.kill_at:
                self._tell(child.job, child.position, "CANCELLED")
            elif code == 0:
                self._tell(child.job, child.position, "COMPLETED", exit_code=0)
            else:
                exit_code, number = (code, None) if code > 0 else (None, -code)
                cause = self.cause_of_kills if number == signal.SIGKILL else None
                at = (child.job, child.position)
                self._tell(*at, "FAILED", cause=cause, exit_code=exit_code, number=number)

    def _cancel(self) -> None:
        for path in list(self.folder.cancelled.iterdir()):
            name, _, position = path.name.partition(".")
            name, _, element = name.partition("_")
            path.unlink()
            if name in self._jobs:
                position = position or element
                self._end(name, None if position == "" else int(position))

    def _end(self, name: str, position: int | None) -> None:
        job = self._jobs[name]
        for item in list(job.waiting):
            if position in (None, item):
                job.waiting.remove(item)
                self._tell(name, item, "CANCELLED")
        for at, told in list(job.told.items()):
            if told[0] == "IMPOSSIBLE" and position in (None, int(at)):
                self._tell(name, int(at), "CANCELLED")
        for pid, child in self._children.items():
            if child.job == name and position in (None, child.position) and not child.kill_at:
                child.kill_at = time.monotonic() + KILL_AFTER
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGTERM)

    def _tell(
        self,
        name: str,
        position: int,
        state: str,
        cause: str | None = None,
        exit_code: int | None = None,
        number: int | None = None,
        reason: str = "",
    ) -> None:
        self._jobs[name].told[str(position)] = [state, cause, exit_code, number, reason]
        self._changed = True

    def _publish(self) -> None:
        """Show all that happened in this turn at once, as one look at a real scheduler does."""
        if not self._changed:
            return
        self._changed = False
        shown = {
            key: {
                at: ["UNKNOWN", None, None, None, ""] if int(at) in item.forgotten else told
                for at, told in item.told.items()
            }
            for key, item in self._jobs.items()
        }
        write(self.folder.told, shown)

    def close(self) -> None:
        """End what runs."""
        for pid in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._children.clear()
        os.close(self.wake)


def fork_python(
    command: Sequence[str],
    *,
    cwd: str | Path,
    log: Path,
    environment: Mapping[str, str],
    first: Callable[[], None] = lambda: None,
    talk: tuple[int, int] | None = None,
) -> int:
    """Run `PYTHON -P -m MODULE ARGUMENTS` in a fork of this process; its id.

    Where it is to `talk`, those are its standard input and output, and it stays in the group.
    """
    assert list(command[1:3]) == ["-P", "-m"], command
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        if talk is None:
            os.setsid()
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY) if talk is None else talk[0], 0)
        os.dup2(descriptor if talk is None else talk[1], 1)
        os.dup2(descriptor, 2)
        os.closerange(3, 256)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(cwd)
        os.environ.update(environment)
        first()
        code = importlib.import_module(command[3]).main(list(command[4:]))
    except SystemExit as ending:
        code = int(ending.code) if isinstance(ending.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


class ForkedPopen:
    """`subprocess.Popen` for commands of reflow's own, by a fork; others are started as ever.

    A process that has SQLite open must not fork what will open it too. Supervisors are therefore
    forked by the process that `ask` writes to. Workers of a pool inherit descriptors, and are
    started as ever too.
    """

    real = subprocess.Popen
    ask: Callable[[list[str], str, str], int] | None = None

    def __new__(cls, command: Sequence[str], **given: Any) -> Any:
        if list(command[1:3]) != ["-P", "-m"] or command[3] == "reflow.execution.pool.worker":
            return cls.real(command, **given)
        return object.__new__(cls)

    def __init__(self, command: Sequence[str], **given: Any) -> None:
        sys.audit("subprocess.Popen", command[0], list(command), None, None)
        self.returncode: int | None = None
        self.stdin: IO[bytes] | None = None
        self.stdout: IO[bytes] | None = None
        if given["stdout"] == subprocess.PIPE:
            self._talk(command, Path(given["stderr"].name), given["cwd"])
            return
        log = given["stdout"].name
        if command[3] == "reflow.runs.supervisor":
            assert ForkedPopen.ask is not None
            self.pid = ForkedPopen.ask(list(command), str(given["cwd"]), log)
        else:
            self.pid = fork_python(
                command, cwd=given["cwd"], log=Path(log), environment=given.get("env") or {}
            )

    def _talk(self, command: Sequence[str], log: Path, cwd: str) -> None:
        theirs, ours = os.pipe()
        answers, answer = os.pipe()
        self.pid = fork_python(command, cwd=cwd, log=log, environment={}, talk=(theirs, answer))
        os.close(theirs)
        os.close(answer)
        self.stdin, self.stdout = os.fdopen(ours, "wb", 0), os.fdopen(answers, "rb", 0)

    def poll(self) -> int | None:
        if self.returncode is None:
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def __enter__(self) -> ForkedPopen:
        return self

    def __exit__(self, *error: object) -> None:
        self.wait()

    def communicate(self, *given: Any, **named: Any) -> tuple[None, None]:
        self.wait()
        return None, None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def warm_up() -> None:
    """Import all that jobs need, so that forks have it."""
    runs = ("dispatch_job", "supervisor", "recover", "request_change")
    wiring = ("decide", "graph", "markers", "options", "rules", "signature")
    for name in (
        "reflow.execution.job_worker",
        "reflow.execution.pool.host",
        "reflow.execution.pool.pilot",
        *(f"reflow.runs.{module}" for module in runs),
        *(f"reflow.wiring.{module}" for module in wiring),
        "reflow.stores.sql",
        "reflow.stores.sqlite",
        "reflow.codecs.builtin",
        "reflow.executors.local",
        "reflow.fingerprint.code.digest",
        "reflow.rundir.source_archive",
        "tomllib",
        "reflow.workflow",
        "reflow.run",
        "platformdirs.unix",
    ):
        importlib.import_module(name)


def main(arguments: list[str]) -> int:
    """Be a scheduler for each folder in a folder, until that has a file `stop`."""
    warm_up()
    parent = Path(arguments[0])
    set_up_registry()
    # The last worker of a wave starts a dispatcher.
    setattr(subprocess, "Popen", ForkedPopen)  # noqa: B010
    hurry_pilots()
    schedulers: dict[Path, ScriptedScheduler] = {}
    poller = select.poll()
    read, write_end = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(write_end)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    poller.register(read, select.POLLIN)
    (parent / "ready").touch()
    while not (parent / "stop").exists():
        for folder in set(parent.glob("scripted-*")) - set(schedulers):
            schedulers[folder] = ScriptedScheduler(folder)
            poller.register(schedulers[folder].wake, select.POLLIN)
        poller.poll(20)
        with contextlib.suppress(BlockingIOError):
            os.read(read, 4096)
        for folder, scheduler in list(schedulers.items()):
            # Before it closes: a closed descriptor would wake the poller for ever.
            if scheduler.told_to_close:
                poller.unregister(scheduler.wake)
                scheduler.close()
                del schedulers[folder]
                folder.rename(parent / f"over-{folder.name}")
            else:
                scheduler.turn(0.0)
    for scheduler in schedulers.values():
        scheduler.close()
    return 0


def hurry_pilots() -> None:
    """Have pilots of this process look and ask sooner than is good for a file server."""
    from reflow.execution.pool import pilot

    for name, seconds in {
        "LOOK_AT_FLAGS_EVERY": 0.5,
        "HEARTBEAT_EVERY": 1.0,
        "FIRST_ASK": 5.0,
    }.items():
        setattr(pilot, name, seconds)


def set_up_registry() -> None:
    """Have this process, and its forks, know the scheduler as an executor."""
    from reflow.plugins.registry import Registry, registry, set_registry
    from reflow.testing.plugins import builtin_plugin, plugin

    set_registry(Registry([builtin_plugin(), plugin("scripted", executors=[PLUGIN])]))
    registry().executors()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
