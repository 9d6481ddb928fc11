"""The fake `qstat` of Torque."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reflow.testing.fakes.face import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Parsed, getopt_long, options
from reflow.testing.fakes.model import Task
from reflow.testing.fakes.pbs.jobs import SERVER
from reflow.testing.fakes.torque import attributes
from reflow.testing.fakes.torque.attributes import Attribute
from reflow.testing.fakes.torque.jobs import (
    UNKNOWN_ARRAY,
    UNKNOWN_JOB,
    UNKNOWN_QUEUE,
    VERSION,
    TorqueJob,
    array_state_of,
    job_of,
    name_of,
    parse_reference,
    state_of,
)

if TYPE_CHECKING:
    from reflow.testing.fakes.torque.face import TorqueFace

OPTIONS = options(
    """
    1/1 a/a B/B c/c C/C e/e E/E= f/f g/g G/G i/i l/l M/M n/n p/p q/q Q/Q r/r R/R s/s t/t u/u= W/W=
    x/x version
    """
)
USAGE = """\
usage: 
                          qstat [-f [-1]] [-W site_specific] [-x] [ job_identifier... | destination... ]
                          qstat [-a|-i|-r|-e] [-u user] [-n [-1]] [-s] [-t] [-G|-M] [-R] [job_id... | destination...]
                          qstat -Q [-f [-1]] [-W site_specific] [ destination... ]
                          qstat -q [-G|-M] [ destination... ]
                          qstat -B [-f [-1]] [-W site_specific] [ server_name... ]
                          qstat -t
"""  # noqa: E501, W291 (as it is printed)
_HEADER = (
    "Job ID                    Name             User            Time Use S Queue\n"
    "------------------------- ---------------- --------------- -------- - -----\n"
)


@dataclass
class Found:
    """What a query has found, and what went wrong."""

    entries: dict[str, TorqueJob | Task] = field(default_factory=dict)
    errors: str = ""
    code: int = 0

    def fail(self, text: str, error: int) -> None:
        """Note an error; the first one's code counts."""
        self.errors += f"qstat: {text}\n"
        self.code = self.code or error & 255


class Qstat:
    """The command."""

    def __init__(self, face: TorqueFace) -> None:
        self._face = face

    def __call__(self, call: Call) -> Answer:
        """Show jobs."""
        try:
            line = getopt_long(call.arguments, OPTIONS)
        except BadOptionError as error:
            raise Refusal(f"qstat: {error}\n{USAGE}", 2) from None
        if line.has("version"):
            return Reply(stderr=f"Version: {VERSION}\nCommit: \n")
        if line.has("B"):
            return Reply(self._server(line))
        if line.has("Q", "q"):
            return Reply(self._queues(line))
        found = self._find(line)
        return Reply(self._print(line, found), found.errors, found.code)

    def _find(self, line: Parsed) -> Found:
        found = Found()
        expand = line.has("t")
        if not line.operands:
            self._everything(found, expand=expand)
        for word in line.operands:
            if word[:1].isdigit():
                self._one(found, word, expand=expand)
            elif word in self._face.settings.queues or word.startswith("@"):
                self._everything(found, expand=expand, queue="" if word[0] == "@" else word)
            else:
                found.fail(f"Unknown queue MSG=cannot locate queue {word}", UNKNOWN_QUEUE)
        if line.has("u"):
            users = line.last("u").split(",")
            found.entries = {
                name: one for name, one in found.entries.items() if _job(one).user in users
            }
        if line.has("c"):
            found.entries = {n: one for n, one in found.entries.items() if _state(one) != "C"}
        return found

    def _one(self, found: Found, word: str, *, expand: bool) -> None:
        reference = parse_reference(word)
        if reference is None:
            found.errors += f"qstat: illegally formed job identifier: {word}\n"
            found.code = found.code or 1
            return
        job = self._face.known_torque_job(reference.number)
        if reference.is_array and (job is None or not job.is_array):
            if expand:
                text = f"Unknown Array ID MSG=unable to find array {reference.full}"
                found.fail(text, UNKNOWN_ARRAY)
            else:
                found.fail(f"Unknown Job Id Error {reference.full}", UNKNOWN_JOB)
        elif job is not None and reference.is_array:
            self._add_array(found, job, expand=expand)
        elif (
            job is None or reference.index not in job.tasks or not job.tasks[reference.index].known
        ):
            found.fail(f"Unknown Job Id Error {reference.full}", UNKNOWN_JOB)
        else:
            task = job.tasks[reference.index]
            found.entries[self._face.native_id(task)] = task

    def _everything(self, found: Found, *, expand: bool, queue: str = "") -> None:
        for job in self._face.known_torque_jobs():
            if queue not in ("", job.queue):
                continue
            if job.is_array:
                self._add_array(found, job, expand=expand)
            else:
                found.entries[self._face.job_id(job)] = job.tasks[None]

    def _add_array(self, found: Found, job: TorqueJob, *, expand: bool) -> None:
        """The array as a whole, or each of its elements, never both."""
        if not expand:
            found.entries[self._face.job_id(job)] = job
            return
        for task in job.present:
            if task.known:
                found.entries[self._face.native_id(task)] = task

    # Printing

    def _print(self, line: Parsed, found: Found) -> str:
        if line.has("x"):
            return attributes.xml({n: self._attributes(one) for n, one in found.entries.items()})
        if line.has("f"):
            return "".join(
                attributes.full(name, self._attributes(one)) for name, one in found.entries.items()
            )
        if line.has("a", "i", "r", "n", "s", "u", "R"):
            return self._alternative(found)
        rows = "".join(self._row(name, one) for name, one in found.entries.items())
        return _HEADER + rows if rows else ""

    def _attributes(self, one: TorqueJob | Task) -> list[Attribute]:
        task = one if isinstance(one, Task) else None
        return attributes.attributes_of(self._face, _job(one), task)

    def _row(self, name: str, one: TorqueJob | Task) -> str:
        job, state = _job(one), _state(one)
        title = job.name if isinstance(one, TorqueJob) else name_of(one)
        if len(title) > 16:
            title = f"...{title[len(title) - 13 :]}"
        used = "00:00:00" if isinstance(one, Task) and one.run is not None else "0"
        return (
            f"{name:<25} {title:<16} {job.user[:15]:<15} {used:>8} {state} {job.queue[:15]:<15}\n"
        )

    def _alternative(self, found: Found) -> str:
        text = (
            f"\n{SERVER}: \n" + " " * 82 + "Req'd       Req'd       Elap\n"
            "Job ID                  Username    Queue    Jobname          SessID  NDS   TSK   "
            "Memory      Time    S   Time\n"
            "----------------------- ----------- -------- ---------------- ------ ----- ------ "
            "--------- --------- - ---------\n"
        )
        for name, one in found.entries.items():
            job = _job(one)
            run = one.run if isinstance(one, Task) else None
            session = str(run.pid) if run else " -- "
            memory = job.resources.get("mem", " -- ")
            wall = job.resources.get("walltime", " -- ")
            text += (
                f"{name:<23.23} {job.user:<11.11} {job.queue:<8.8} {job.name:<16.16} "
                f"{session:>6.6} {job.request.nodes:>5} {job.cpus:>6} {memory:>9.9} {wall:>9.9} "
                f"{_state(one)} {'  -- ':>9}\n"
            )
        return text if found.entries else ""

    def _server(self, line: Parsed) -> str:
        settings = self._face.settings
        if not line.has("f"):
            names = ("Server", *("Max", "Tot", "Que", "Run", "Hld", "Wat", "Trn", "Ext", "Com"))
            head = f"{names[0]:<16} " + " ".join(f"{one:>5}" for one in names[1:]) + " Status    \n"
            rule = f"{'-' * 16} " + " ".join(f"{'---':>5}" for _ in range(9)) + " ----------\n"
            zeros = " ".join(f"{0:>5}" for _ in range(9))
            return f"{head}{rule}{SERVER:<16} {zeros} Active    \n"
        values: dict[str, object] = {
            "server_state": "Active",
            "scheduling": True,
            "default_queue": next(iter(settings.queues)),
            "keep_completed": int(settings.keep_completed),
            "max_user_queuable": settings.max_user_queuable,
            "max_job_array_size": settings.max_array_size,
            "max_slot_limit": settings.max_slot_limit,
            "pbs_version": VERSION,
        }
        shown = "".join(f"    {k} = {v}\n" for k, v in values.items() if v is not None)
        return f"Server: {SERVER}\n{shown}\n"

    def _queues(self, line: Parsed) -> str:
        settings = self._face.settings
        chosen = [name for name in settings.queues if not line.operands or name in line.operands]
        text = ""
        if not line.has("f"):
            names = ("Max", "  Tot", "Ena", "Str", "Que", "Run", "Hld", "Wat", "Trn", "Ext")
            text = f"{'Queue':<16} " + " ".join(f"{one:>5}" for one in names) + " T   Cpt\n"
            text += f"{'-' * 16} " + " ".join(f"{'---':>5}" for _ in names) + " -   ---\n"
        for name in chosen:
            queue = settings.queues[name]
            enabled, started = queue.get("enabled", True), queue.get("started", True)
            if line.has("f"):
                text += f"Queue: {name}\n    queue_type = Execution\n"
                if "max_user_queuable" in queue:
                    text += f"    max_user_queuable = {queue['max_user_queuable']}\n"
                text += f"    enabled = {enabled}\n    started = {started}\n\n"
                continue
            counts = (
                f"{0:>5} {0:>5} {'yes' if enabled else 'no':>5} {'yes' if started else 'no':>5}"
            )
            text += f"{name:<16} {counts} " + " ".join(f"{0:>5}" for _ in range(6)) + " E     0\n"
        return text


def _job(one: TorqueJob | Task) -> TorqueJob:
    return one if isinstance(one, TorqueJob) else job_of(one)


def _state(one: TorqueJob | Task) -> str:
    return array_state_of(one) if isinstance(one, TorqueJob) else state_of(one)
