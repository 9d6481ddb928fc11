"""The fake `sacct`, with accounting's lag and errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Parsed, getopt_long, options
from reflow.testing.fakes.model import Phase, Run, Task, Why

from tests.fakes.slurm import json_output, times
from tests.fakes.slurm.jobs import (
    STATES_BY_CODE,
    Record,
    SlurmJob,
    end_state,
    exit_code_of,
    reason_of,
    reason_text,
    records,
)

if TYPE_CHECKING:
    from tests.fakes.slurm.emulator import SlurmEmulator

OPTIONS = options(
    """
    A/accounts= a/allusers B/batch-script b/brief completion constraints= c/comp delimiter=
    D/duplicates E/endtime= e/helpformat env-vars federation f/file= g/gid= group= h/help
    i/nnodes= I/ncpus= j/jobs= json k/timelimit-min= K/timelimit-max= L/allclusters local l/long
    M/clusters= N/nodelist= n/noheader name= noconvert o/format= P/parsable2 p/parsable
    q/qos= R/reservation= r/partition= S/starttime= s/state= T/truncate u/user= uid= units=
    usage V/version v/verbose W/wckeys= whole-hetjob[=] X/allocations x/associations= yaml
    """
)
FIELD_NAMES = tuple(
    """
    Account AdminComment AllocCPUS AllocNodes AllocTRES AssocID AveCPU AveCPUFreq AveDiskRead
    AveDiskWrite AvePages AveRSS AveVMSize BlockID Cluster Comment Constraints ConsumedEnergy
    ConsumedEnergyRaw Container CPUTime CPUTimeRAW DBIndex DerivedExitCode Elapsed ElapsedRaw
    Eligible End ExitCode Flags GID Group JobID JobIDRaw JobName Layout MaxDiskRead
    MaxDiskReadNode MaxDiskReadTask MaxDiskWrite MaxDiskWriteNode MaxDiskWriteTask MaxPages
    MaxPagesNode MaxPagesTask MaxRSS MaxRSSNode MaxRSSTask MaxVMSize MaxVMSizeNode MaxVMSizeTask
    McsLabel MinCPU MinCPUNode MinCPUTask NCPUS NNodes NodeList NTasks Partition Planned
    PlannedCPU PlannedCPURAW Priority QOS QOSRAW Reason ReqCPUFreq ReqCPUFreqGov ReqCPUFreqMax
    ReqCPUFreqMin ReqCPUS ReqMem ReqNodes ReqTRES Reservation ReservationId Reserved ResvCPU
    ResvCPURAW Start State Submit SubmitLine Suspended SystemComment SystemCPU Timelimit
    TimelimitRaw TotalCPU TRESUsageInAve TRESUsageInMax TRESUsageInMin TRESUsageInTot
    TRESUsageOutMax TRESUsageOutTot UID User UserCPU WCKey WCKeyID WorkDir
""".split()  # noqa: SIM905 (a table)
)
_WIDTHS = {"JobID": 12, "State": 10, "ExitCode": 8, "Start": 19, "End": 19, "NodeList": 15}
NAMELESS_SECONDS = 5.0
"""A job cancelled sooner than this while it waits stays `allocation` in accounting."""


@dataclass(frozen=True)
class Row:
    """One record of accounting: an allocation, or its batch step."""

    job: SlurmJob
    task: Task
    run: Run | None
    id: str
    raw: str
    name: str
    state: str
    code: tuple[int, int]
    reason: str
    start: float | None
    end: float | None
    nodes: str
    is_step: bool = False
    listed_start: str = ""
    """What Start says in words, where it is no moment."""

    def field(self, name: str, now: float, cluster: str) -> str:
        """The text of one field."""
        job = self.job
        elapsed = 0.0 if self.start is None else (self.end or now) - self.start
        both = {
            "JobID": self.id,
            "JobIDRaw": self.raw,
            "JobName": self.name,
            "State": self.state,
            "ExitCode": f"{_less_128(self.code[0])}:{self.code[1]}",
            "Start": self.listed_start or times.write_moment(self.start, "Unknown"),
            "End": times.write_moment(self.end, "Unknown"),
            "Elapsed": times.write_long_span(elapsed),
            "ElapsedRaw": str(int(elapsed)),
            "NodeList": self.nodes or "None assigned",
            "NCPUS": str(job.request.share.cpus * job.request.nodes),
            "AllocCPUS": str(job.request.share.cpus * job.request.nodes if self.start else 0),
            "Cluster": cluster,
            "Submit": times.write_moment(job.submitted if not self.is_step else self.start),
            "Account": job.account,
        }
        if name in both:
            return both[name]
        if self.is_step:
            peak = self.run.peak_memory if self.run is not None else 0
            return f"{max(peak // 1024, 3320)}K" if name == "MaxRSS" else ""
        return {
            "DerivedExitCode": "0:0",
            "Reason": self.reason,
            "Partition": job.queue,
            "User": job.user,
            "UID": str(job.uid),
            "QOS": job.qos,
            "Eligible": times.write_moment(job.submitted),
            "ReqMem": f"{job.mem_per_node or job.mem_per_cpu * job.request.share.cpus}M",
            "ReqCPUS": str(job.request.share.cpus * job.request.nodes),
            "NNodes": str(job.request.nodes),
            "AllocNodes": str(job.request.nodes if self.start else 0),
            "ReqNodes": str(job.request.nodes),
            "Timelimit": times.write_limit(job.request.walltime)
            if job.request.walltime is None
            else times.write_long_span(job.request.walltime),
            "TimelimitRaw": str(int((job.request.walltime or 0) // 60)),
            "WorkDir": str(job.directory),
            "Priority": str(job.priority),
            "Comment": job.comment,
        }.get(name, "")


def _less_128(code: int) -> int:
    """What sacct of this version makes of an exit code."""
    return code - 128 if code >= 128 else code


class Sacct:
    """The command."""

    def __init__(self, emulator: SlurmEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """List what accounting knows."""
        try:
            line = getopt_long(call.arguments, OPTIONS)
        except BadOptionError as error:
            raise Refusal(f"sacct: {error}") from None
        if line.has("version"):
            return Reply("slurm-wlm 22.05.8\n")
        if line.has("help", "usage"):
            return Reply("sacct [<OPTION>]\n")
        if line.has("helpformat"):
            return Reply("".join(f"{name:<20}" for name in FIELD_NAMES) + "\n")
        settings = self._emulator.settings
        if not settings.accounting:
            raise Refusal("Slurm accounting storage is disabled")
        fields = self._fields(line)
        wanted = self._wanted_ids(line)
        span = self._span(line, bounded=wanted is None)
        self._refuse_while_down()
        rows = [
            row
            for row in self._rows(
                duplicates=line.has("duplicates"),
                whole=call.environment.get("SLURM_BITSTR_LEN") == "0",
            )
            if self._is_chosen(row, line, wanted, span, call)
            and not (line.has("allocations") and row.is_step)
        ]
        if line.has("json"):
            return Reply(
                json_output.sacct(self._emulator, [row for row in rows if not row.is_step])
            )
        return Reply(self._print(line, fields, rows))

    def _refuse_while_down(self) -> None:
        if self._emulator.settings.accounting_down:
            raise Refusal(
                "sacct: error: slurm_persist_conn_open_without_init: failed to open persistent "
                "connection to host:127.0.0.1:16818: Connection refused\n"
                "sacct: error: Sending PersistInit msg: Connection refused\n"
                "sacct: error: Problem talking to the database: Connection refused"
            )

    # Reading the command line

    def _fields(self, line: Parsed) -> list[tuple[str, int]]:
        by_lower = {name.lower(): name for name in FIELD_NAMES}
        default = "JobID,JobName,Partition,Account,AllocCPUS,State,ExitCode"
        if line.has("brief"):
            default = "JobID,State,ExitCode"
        found = []
        for word in line.last("format", default).split(","):
            name, _, width = word.strip().partition("%")
            if not name:
                continue
            if name.lower() not in by_lower:
                raise Refusal(f'sacct: error: Invalid field requested: "{name}"')
            proper = by_lower[name.lower()]
            found.append((proper, int(width or _WIDTHS.get(proper, 10))))
        return found

    def _wanted_ids(self, line: Parsed) -> list[tuple[int, int | None]] | None:
        if not line.has("jobs"):
            return None
        wanted: list[tuple[int, int | None]] = []
        for value in line.all("jobs"):
            for text in filter(None, value.split(",")):
                match = re.fullmatch(r"(\d+)(?:_(\d+))?(?:\.\w+)?", text)
                if match is None:
                    raise Refusal(f"sacct: fatal: Bad job/step specified: {text}")
                wanted.append((int(match[1]), int(match[2]) if match[2] else None))
        return wanted

    def _span(self, line: Parsed, *, bounded: bool) -> tuple[float, float]:
        """From when to when; since midnight where neither ids nor a start are given."""
        now = self._emulator.engine.now()
        moments = []
        for option, default in (("starttime", 0.0), ("endtime", now)):
            moment: float | None = default
            if line.has(option):
                moment = times.parse_moment(line.last(option), now)
            elif option == "starttime" and bounded:
                moment = times.parse_moment("00:00", now)
            if moment is None:
                raise Refusal(
                    f"sacct: error: Invalid time specification (pos=0): {line.last(option)}"
                )
            moments.append(moment)
        return moments[0], moments[1]

    def _is_chosen(
        self,
        row: Row,
        line: Parsed,
        wanted: list[tuple[int, int | None]] | None,
        span: tuple[float, float],
        call: Call,
    ) -> bool:
        job = row.job
        users = line.last("user") or ("" if line.has("allusers") or call.uid == 0 else call.user)
        if users and job.user not in users.split(","):
            return False
        if line.has("name") and row.name not in line.last("name").split(",") and not row.is_step:
            return False
        if row.is_step and line.has("name") and job.name not in line.last("name").split(","):
            return False
        if wanted is not None and not self._is_wanted(row, wanted):
            return False
        if line.has("state") and not self._has_state(row, line.last("state")):
            return False
        return job.submitted <= span[1] + 1 and (row.end is None or int(row.end) >= int(span[0]))

    def _is_wanted(self, row: Row, wanted: list[tuple[int, int | None]]) -> bool:
        number = row.job.number
        raw = int(row.raw.partition(".")[0])
        index = row.id.partition("_")[2].partition(".")[0]
        element = (number, int(index)) if index.isdigit() else None
        return (number, None) in wanted or (raw, None) in wanted or element in wanted

    def _has_state(self, row: Row, text: str) -> bool:
        states = {STATES_BY_CODE.get(word.upper(), word.upper()) for word in text.split(",")}
        return row.state.split()[0] in states

    # What accounting knows

    def _rows(self, *, duplicates: bool, whole: bool) -> Iterator[Row]:
        earlier: list[Row] = []
        latest: list[Row] = []
        for job in self._emulator.accounted_jobs():
            for record in self._recorded(job, whole=whole):
                task = record.task
                if duplicates:
                    for run in task.runs:
                        if run is not task.run:
                            earlier += self._of_run(record, run)
                latest += self._latest(record)
        yield from earlier
        yield from latest

    def _recorded(self, job: SlurmJob, *, whole: bool) -> list[Record]:
        lag = self._emulator.settings.accounting_lag
        now = self._emulator.engine.now()
        if now < job.submitted + lag:
            return []
        found = records(job, whole=whole)
        if self._is_confused(job):
            if job.waiting and job.is_array:
                return [Record(job, tuple(job.present), together=True, whole=whole)]
            return found[:1]
        return sorted(found, key=lambda one: (one.is_folded, one.task.index or 0))

    def _is_confused(self, job: SlurmJob) -> bool:
        """Whether accounting is still wrong about a job: its name, its state, its elements."""
        lag = self._emulator.settings.accounting_lag
        if not lag:
            return False
        begun = [task.runs[0].started for task in job.present if task.runs]
        return bool(begun) and self._emulator.engine.now() < min(begun) + 2 * lag

    def _latest(self, record: Record) -> list[Row]:
        run = record.task.run
        if run is None or record.together:
            return [self._without_run(record)]
        return self._of_run(record, run)

    def _without_run(self, record: Record) -> Row:
        task, job = record.task, record.job
        cancelled = task.phase is Phase.OVER and not record.together
        state = "PENDING"
        if cancelled:
            state = f"CANCELLED by {task.by}" if task.by else "CANCELLED"
        ended = task.ended or 0.0
        soon = ended - job.submitted < NAMELESS_SECONDS
        nameless = cancelled and soon and not job.is_array and job.dependency is None
        return Row(
            job,
            task,
            None,
            record.id_text,
            str(record.raw_id),
            "allocation" if nameless else job.name,
            state,
            (0, 0),
            "None" if nameless or record.together else _reason(record, None),
            task.ended if nameless else None,
            task.ended if cancelled else None,
            "",
            listed_start="None" if cancelled and not nameless else "",
        )

    def _of_run(self, record: Record, run: Run) -> list[Row]:
        task, job = record.task, record.job
        over = run.ended is not None
        why = task.why if run is task.run and task.why is not None else run.why
        state = end_state(why, run) if over else "RUNNING"
        confused = self._is_confused(job)
        if why is Why.CANCELLED and over:
            state = f"CANCELLED by {run.by or task.by or '0'}"
        elif task.phase is Phase.ENDING and not over:
            state = f"CANCELLED by {run.by}" if run.why is Why.CANCELLED else "TIMEOUT"
        if confused and not over:
            state = "PENDING"
        nodes = self._emulator.node_names(run)
        id_text = str(job.number) if confused else record.id_text
        raw = str(job.number if confused else record.raw_id)
        row = Row(
            job,
            task,
            run,
            id_text,
            raw,
            "allocation" if confused else job.name,
            state,
            exit_code_of(run, why),
            _reason(record, run),
            run.started,
            run.ended,
            nodes,
        )
        if why is Why.NODE and over:
            return [row]
        step_state, step_code = _step(run, why) if over else ("RUNNING", (0, 0))
        step = Row(
            job,
            task,
            run,
            f"{id_text}.batch",
            f"{raw}.batch",
            "batch",
            step_state,
            step_code,
            "",
            run.started,
            run.ended,
            nodes,
            is_step=True,
        )
        return [row, step]

    def _print(self, line: Parsed, fields: list[tuple[str, int]], rows: list[Row]) -> str:
        now = self._emulator.engine.now()
        cluster = self._emulator.settings.cluster
        table = [[row.field(name, now, cluster) for name, _ in fields] for row in rows]
        header = [name for name, _ in fields]
        if line.has("parsable", "parsable2"):
            bar = line.last("delimiter", "|")
            end = bar if line.has("parsable") else ""
            lines = [] if line.has("noheader") else [header]
            return "".join(bar.join(one) + end + "\n" for one in [*lines, *table])
        lines = [] if line.has("noheader") else [header, ["-" * width for _, width in fields]]
        return "".join(
            "".join(_fit(text, width) + " " for text, (_, width) in zip(one, fields, strict=True))
            + "\n"
            for one in [*lines, *table]
        )


def _fit(text: str, width: int) -> str:
    return text.rjust(width) if len(text) <= width else text[: width - 1] + "+"


def _reason(record: Record, run: Run | None) -> str:
    """The reason that was noted last while the job waited."""
    if run is None or record.task.phase is Phase.PENDING:
        return reason_of(record.task)
    return reason_text(run.waited_for)


def _step(run: Run, why: Why) -> tuple[str, tuple[int, int]]:
    """State and exit code of a batch step."""
    if why is Why.MEMORY:
        return "OUT_OF_MEMORY", (0, 125)
    if why is Why.LAUNCH:
        return "CANCELLED", (0, 53)
    if run.signal:
        return ("CANCELLED by 0" if run.by else "CANCELLED"), (0, run.signal)
    return ("FAILED" if run.code else "COMPLETED"), (run.code, 0)
