"""The fake `squeue`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Parsed, getopt_long, options
from reflow.testing.fakes.model import Phase

from tests.fakes.slurm import json_output, times
from tests.fakes.slurm.jobs import COMPACT, STATES_BY_CODE, Record, reason_of, records

if TYPE_CHECKING:
    from tests.fakes.slurm.emulator import SlurmEmulator

OPTIONS = options(
    """
    A/account= a/all array-unique federation o/format= O/Format= help hide i/iterate= j/jobs[=]
    json L/licenses= l/long local me M/clusters= n/name= h/noheader noconvert p/partition=
    P/priority q/qos= R/reservation= r/array sibling S/sort= start t/states= s/steps[=] usage
    u/user= v/verbose V/version w/nodelist= yaml
    """
)
DEFAULT_FORMAT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
LONG_FORMAT = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"
ID_BUFFER = 31
"""Characters of `%i` before it is cut without a mark."""

ACTIVE = {"PENDING", "RUNNING", "SUSPENDED", "COMPLETING"}
HEADERS = {
    "A": "JOBID", "F": "ARRAY_JOB_ID", "K": "ARRAY_TASK_ID", "i": "JOBID", "T": "STATE",
    "t": "ST", "r": "REASON", "M": "TIME", "l": "TIME_LIMIT", "L": "TIME_LEFT", "N": "NODELIST",
    "S": "START_TIME", "e": "END_TIME", "Z": "WORK_DIR", "j": "NAME", "P": "PARTITION",
    "u": "USER", "U": "UID", "a": "ACCOUNT", "q": "QOS", "Q": "PRIORITY", "k": "COMMENT",
    "E": "DEPENDENCY", "D": "NODES", "C": "CPUS", "m": "MIN_MEMORY", "R": "NODELIST(REASON)",
    "B": "EXEC_HOST", "V": "SUBMIT_TIME", "o": "COMMAND", "p": "PRIORITY", "f": "FEATURES",
    "v": "RESERVATION", "n": "REQ_NODES", "x": "EXC_NODES", "c": "MIN_CPUS", "g": "GROUP",
}  # fmt: skip


class Squeue:
    """The command."""

    def __init__(self, emulator: SlurmEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """List jobs."""
        try:
            line = getopt_long(call.arguments, OPTIONS)
        except BadOptionError as error:
            raise Refusal(f'squeue: {error}\nTry "squeue --help" for more information') from None
        if line.has("version"):
            return Reply("slurm-wlm 22.05.8\n")
        if line.has("help", "usage"):
            return Reply("Usage: squeue [OPTIONS]\n")
        if line.operands and line.has("jobs") and not line.last("jobs"):
            # `-j 24` is `-j` without a value and an operand.
            line.options.append(("jobs", line.operands.pop(0)))
        if line.operands:
            raise Refusal(f"squeue: error: Unrecognized option: {line.operands[0]}")
        wanted = self._wanted_ids(line)
        states = self._wanted_states(line)
        if line.has("json"):
            # This version ignores -j and -t here.
            return Reply(json_output.squeue(self._emulator))
        if wanted is not None and len(wanted) == 1 and not self._emulator.knows(*wanted[0]):
            raise Refusal("slurm_load_jobs error: Invalid job id specified")
        found = self._select(line, wanted, states, call)
        return Reply(self._print(line, found))

    def _wanted_ids(self, line: Parsed) -> list[tuple[int, int | None]] | None:
        """The ids of `-j`; None where it was not given."""
        if not line.has("jobs"):
            return None
        wanted: list[tuple[int, int | None]] = []
        for text in filter(None, line.last("jobs").split(",")):
            match = re.fullmatch(r"(\d+)(?:_(\d+))?", text)
            if match is None:
                raise Refusal(f"squeue: error: Invalid job id: {text}")
            wanted.append((int(match[1]), int(match[2]) if match[2] else None))
        return wanted

    def _wanted_states(self, line: Parsed) -> set[str]:
        if not line.has("states"):
            return ACTIVE
        states: set[str] = set()
        for text in line.last("states").split(","):
            word = text.strip().upper()
            if word == "ALL":
                return set(COMPACT)
            state = STATES_BY_CODE.get(word, word)
            if state not in COMPACT:
                valid = ",".join(COMPACT)
                raise Refusal(
                    f"squeue: error: Invalid job state specified: {text}\n"
                    f"squeue: error: Valid job states include: {valid}"
                )
            states.add(state)
        return states

    def _select(
        self,
        line: Parsed,
        wanted: list[tuple[int, int | None]] | None,
        states: set[str],
        call: Call,
    ) -> list[Record]:
        whole = call.environment.get("SLURM_BITSTR_LEN") == "0"
        user = call.user if line.has("me") else line.last("user")
        found: list[Record] = []
        for job in self._emulator.known_jobs():
            if user and not {job.user, str(job.uid)} & set(user.split(",")):
                continue
            for record in records(job, whole=whole):
                found += _only_wanted(record, wanted)
        if line.has("array"):
            found = [replace(one, tasks=(task,), alone=True) for one in found for task in one.tasks]
        return [
            record
            for record in found
            if record.task.known
            and self._emulator.state_of(record.task) in states
            and _chosen(line, "name", record.job.name)
            and _chosen(line, "partition", record.job.queue)
            and _chosen(line, "account", record.job.account)
            and _chosen(line, "qos", record.job.qos)
        ]

    def _print(self, line: Parsed, found: list[Record]) -> str:
        if line.has("Format"):
            layout = _parse_long_format(line.last("Format"))
        else:
            default = LONG_FORMAT if line.has("long") else DEFAULT_FORMAT
            layout = _parse_format(line.last("format", default))
        lines = [] if line.has("noheader") else [[HEADERS.get(one.letter, "") for one in layout]]
        # Among equals the last made comes first.
        found.reverse()
        rows = sorted(found, key=self._rank)
        lines += [[self._text(one.letter, record) for one in layout] for record in rows]
        return "".join(_lay_out(layout, values) + "\n" for values in lines)

    def _rank(self, record: Record) -> tuple[str, str, int, int]:
        waiting = record.task.phase is Phase.PENDING
        index = (record.task.index or 0) if waiting and record.alone else 0
        state = self._emulator.state_of(record.task)
        return record.job.queue, state, -record.job.priority, index

    def _text(self, letter: str, record: Record) -> str:
        return str(FIELDS[letter](self._emulator, record)) if letter in FIELDS else ""


Field = Callable[["SlurmEmulator", Record], object]


def _wait_status(emulator: SlurmEmulator, record: Record) -> int:
    """What `exit_code` shows: the wait status, 0 while there is none."""
    code, number = emulator.exit_code_of(record.task)
    return code << 8 | number


FIELDS: dict[str, Field] = {
    "exit_code": _wait_status,
    "A": lambda _, one: one.raw_id,
    "F": lambda _, one: one.job.number,
    "K": lambda _, one: one.index_text,
    "i": lambda _, one: one.id_text if one.whole else one.id_text[:ID_BUFFER],
    "T": lambda emulator, one: emulator.state_of(one.task),
    "t": lambda emulator, one: COMPACT[emulator.state_of(one.task)],
    "r": lambda _, one: reason_of(one.task),
    "M": lambda emulator, one: times.write_span(emulator.run_time(one.task)),
    "l": lambda _, one: times.write_limit(one.job.request.walltime),
    "L": lambda emulator, one: times.write_limit(emulator.time_left(one.task)),
    "N": lambda emulator, one: emulator.nodes_of(one.task),
    "S": lambda emulator, one: times.write_moment(emulator.start_of(one.task)),
    "e": lambda emulator, one: times.write_moment(emulator.end_of(one.task)),
    "V": lambda _, one: times.write_moment(one.job.submitted),
    "Z": lambda _, one: one.job.directory,
    "j": lambda _, one: one.job.name,
    "P": lambda _, one: one.job.queue,
    "u": lambda _, one: one.job.user,
    "U": lambda _, one: one.job.uid,
    "g": lambda _, one: one.job.user,
    "a": lambda _, one: one.job.account,
    "q": lambda _, one: one.job.qos,
    "Q": lambda _, one: one.job.priority,
    "p": lambda _, one: f"{one.job.priority / 2**32:.14f}",
    "k": lambda _, one: one.job.comment or "(null)",
    "E": lambda emulator, one: emulator.dependency_text(one.task),
    "D": lambda _, one: one.job.request.nodes,
    "C": lambda _, one: one.job.request.share.cpus * one.job.request.nodes,
    "c": lambda _, one: one.job.request.share.cpus,
    "m": lambda _, one: f"{one.job.mem_per_node or one.job.mem_per_cpu}M",
    "R": lambda emulator, one: emulator.nodes_or_reason(one.task),
    "B": lambda emulator, one: emulator.nodes_of(one.task) or "n/a",
    "o": lambda _, one: one.job.command or "(null)",
    "f": lambda _, one: one.job.features or "(null)",
    "v": lambda _, one: "(null)",
    "n": lambda _, one: ",".join(one.job.nodelist),
    "x": lambda _, one: ",".join(one.job.excluded),
}
"""What each letter of a format stands for, squeue(1), `--format`."""

LONG_NAMES = {
    "jobarrayid": "i", "arrayjobid": "F", "arraytaskid": "K", "jobid": "A", "state": "T",
    "statecompact": "t", "reason": "r", "name": "j", "partition": "P", "username": "u",
    "userid": "U", "account": "a", "qos": "q", "prioritylong": "Q", "priority": "p",
    "timeused": "M", "timelimit": "l", "timeleft": "L", "nodelist": "N", "starttime": "S",
    "endtime": "e", "submittime": "V", "workdir": "Z", "comment": "k", "dependency": "E",
    "numnodes": "D", "numcpus": "C", "minmemory": "m", "reasonlist": "R", "batchhost": "B",
    "command": "o", "exit_code": "exit_code",
}  # fmt: skip


def _chosen(line: Parsed, option: str, value: str) -> bool:
    return not line.has(option) or value in line.last(option).split(",")


def _only_wanted(record: Record, wanted: list[tuple[int, int | None]] | None) -> list[Record]:
    """What is left of a record when only these ids are asked for."""
    if wanted is None:
        return [record]
    job = record.job
    if (job.number, None) in wanted or (record.raw_id, None) in wanted:
        return [record]
    if not job.is_array:
        return []
    return [
        replace(record, tasks=(task,), alone=True)
        for task in record.tasks
        if (job.number, task.index) in wanted
    ]


@dataclass(frozen=True)
class Column:
    """One field of a format."""

    letter: str
    """Empty for plain text."""
    width: int = 0
    """0 for as long as needed."""
    right: bool = False
    after: str = ""


def _parse_format(text: str) -> list[Column]:
    """Read `%.18i|%T`."""
    found = [Column("", after=text.partition("%")[0])]
    for match in re.finditer(r"%(\.?)(\d*)([A-Za-z])([^%]*)", text):
        found.append(Column(match[3], int(match[2] or 0), bool(match[1]), match[4]))  # noqa: PERF401
    return found


def _parse_long_format(text: str) -> list[Column]:
    """Read `JobArrayID:30,State:|`: a width, or what stands behind a field as long as needed."""
    found = []
    for part in text.split(","):
        name, _, size = part.partition(":")
        letter = LONG_NAMES.get(name.strip().lower())
        match = re.fullmatch(r"(\.?)(\d*)(.*)", size)
        if letter is None or match is None:
            raise Refusal(f"squeue: error: Invalid job format specification: {name}")
        width = int(match[2]) if match[2] else 0 if match[3] else 20
        found.append(Column(letter, width, bool(match[1]), match[3]))
    return found


def _lay_out(layout: list[Column], values: list[str]) -> str:
    line = ""
    for column, value in zip(layout, values, strict=True):
        text = value
        if column.width:
            text = text[: column.width]
            text = text.rjust(column.width) if column.right else text.ljust(column.width)
        line += text + column.after
    return line
