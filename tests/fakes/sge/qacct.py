"""The fake `qacct`, which reads the accounting file."""

from __future__ import annotations

import fnmatch
import re
import signal
from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply

from tests.fakes.sge import grammar
from tests.fakes.sge.jobs import Record, write_long_moment

if TYPE_CHECKING:
    from tests.fakes.sge.emulator import SgeEmulator

# -j may stand without a value, so it is read apart.
OPTIONS = grammar.table("A= b= d= D= e= f= g= h= help history= j= l= nohist o= P= pe= q= slots= t=")
FAILED = {
    0: "",
    25: "rescheduling",
    26: "opening input/output file",
    28: "changing into working directory",
    30: "application error returned",
    37: "qmaster enforced h_rt, h_cpu, or h_vmem limit",
    100: "assumedly after job",
}


class Qacct:
    """The command."""

    def __init__(self, emulator: SgeEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Print records of jobs that have ended."""
        line = grammar.parse("qacct", call.arguments, OPTIONS)
        if line.has("help"):
            return Reply("SGE 8.1.9\nusage: qacct [options]\n")
        if not self._emulator.has_accounting_file:
            path = f"{self._emulator.place}/default/common/accounting"
            return Reply(
                "no jobs running since startup\n", f"{path}: No such file or directory\n", 1
            )
        if not line.has("j"):
            return Reply("Total System Usage\n")
        word = line.last("j")
        if line.has("t") and not line.last("t").replace("-", "").replace(":", "").isdigit():
            raise Refusal(f'qacct: Range specifier "{line.last("t")}" is invalid', 7)
        records = [one for one in self._emulator.records() if self._is_meant(one, word)]
        if line.has("t"):
            first, _, last = line.last("t").partition("-")
            span = f"{first}-{last or first}" + ("" if ":" in last else ":1")
            wanted = range(int(first), int((last or first).partition(":")[0]) + 1)
            records = [one for one in records if one.task.index in wanted]
            if not records:
                raise Refusal(f"error: Job-array tasks {word}.{span} not found")
        if not records:
            kind = "id" if word[:1].isdigit() else "name"
            raise Refusal(f"error: job {kind} {word} not found")
        return Reply("".join(self._block(one) for one in records))

    def _is_meant(self, record: Record, text: str) -> bool:
        # What begins with a number is one, up to where it ends: of `24,25` only 24 is meant.
        number = re.match(r"\d+", text)
        if number is not None:
            return record.job.number == int(number[0])
        return fnmatch.fnmatchcase(record.job.name, text)

    def _block(self, record: Record) -> str:
        job, run = record.job, record.run
        ended = run.ended or run.started
        wallclock = int(ended) - int(run.started) if record.started else 0
        peak = f"{run.peak_memory / 2**20:.3f}MB" if run.peak_memory else "0.000B"
        unused = {"ru_ixrss": "B", "ru_ismrss": "B", "ru_idrss": "B", "ru_isrss": "B"}
        lines: list[tuple[str, object]] = [
            ("qname", f"{job.queue:<20}"),
            ("hostname", f"{run.nodes[0].name:<20}"),
            ("group", f"{job.user:<20}"),
            ("owner", f"{job.user:<20}"),
            ("project", f"{job.project or 'NONE':<20}"),
            ("department", f"{'defaultdepartment':<20}"),
            ("jobname", f"{job.name:<20}"),
            ("jobnumber", f"{job.number:<20}"),
            ("taskid", "undefined" if record.task.index is None else f"{record.task.index:<20}"),
            ("account", f"{job.account:<20}"),
            ("priority", f"{0:<20}"),
            ("qsub_time", write_long_moment(job.submitted)),
            ("start_time", write_long_moment(run.started) if record.started else "-/-"),
            ("end_time", write_long_moment(ended) if record.started else "-/-"),
            ("granted_pe", f"{job.parallel or 'NONE':<20}" if job.parallel else "NONE" + " " * 16),
            ("slots", f"{job.slots:<20}"),
            ("failed", _failed(record.failed)),
            ("exit_status", f"{record.status:<20}{_signal_text(record)}"),
            ("ru_wallclock", f"{wallclock}s"),
            ("ru_utime", "0.100s"),
            ("ru_stime", "0.020s"),
            ("ru_maxrss", f"{run.peak_memory / 2**20:.3f}KB"),
            *((name, f"0.000{unit}") for name, unit in unused.items()),
            *((f"ru_{name}", f"{0:<20}") for name in _COUNTERS),
            ("cpu", "0.120s" if record.started else "0.000s"),
            ("mem", "0.000Bs"),
            ("io", "0.000B"),
            ("iow", "0.000s"),
            ("maxvmem", peak),
            ("arid", "undefined"),
            ("ar_sub_time", "undefined"),
            ("category", job.category),
        ]
        return "=" * 62 + "\n" + "".join(f"{name:<12} {value}\n" for name, value in lines)


_COUNTERS = (
    "minflt", "majflt", "nswap", "inblock", "oublock", "msgsnd", "msgrcv", "nsignals", "nvcsw",
    "nivcsw",
)  # fmt: skip


def _failed(code: int) -> str:
    return f"{code:<4} " if not code else f"{code:<3} : {FAILED[code]}"


def _signal_text(record: Record) -> str:
    if record.status <= 128:
        return ""
    number = record.status - 128
    try:
        return f" ({signal.strsignal(number) or f'Unknown signal {number}'})"
    except ValueError:
        return f" (Unknown signal {number})"
