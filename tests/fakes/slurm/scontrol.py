"""The fake `scontrol`: what it shows of jobs and settings, and what it does to jobs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, getopt_long, options
from reflow.testing.fakes.model import Phase, Task

from tests.fakes.slurm import indices
from tests.fakes.slurm.jobs import NO_INDEX, Record, SlurmJob, reason_of, records
from tests.fakes.slurm.times import write_limit, write_long_span, write_moment

if TYPE_CHECKING:
    from tests.fakes.slurm.emulator import SlurmEmulator

OPTIONS = options(
    """
    a/all d/details F/future help h/usage hide local M/clusters= o/oneliner Q/quiet sibling
    u/uid= v/verbose V/version
    """
)
_UNKNOWN = "Invalid job id specified"


class Scontrol:
    """The command."""

    def __init__(self, emulator: SlurmEmulator) -> None:
        self._emulator = emulator
        self._verbs: dict[str, Callable[[Call, list[str]], Reply]] = {
            "hold": self._hold,
            "uhold": self._hold,
            "release": self._release,
            "requeue": self._requeue,
            "requeuehold": self._requeue_hold,
            "suspend": self._suspend,
            "resume": self._resume,
            "update": self._update,
            "ping": self._ping,
        }

    def __call__(self, call: Call) -> Answer:
        """Show or change something."""
        try:
            line = getopt_long(call.arguments, OPTIONS)
        except BadOptionError as error:
            raise Refusal(
                f'scontrol: {error}\nTry "scontrol --help" for more information'
            ) from None
        if line.has("version"):
            return Reply("slurm-wlm 22.05.8\n")
        verb, *words = line.operands or ["help"]
        if verb == "show":
            return self._show(words, one_line=line.has("oneliner"))
        if verb not in self._verbs:
            raise Refusal(f"invalid keyword: {verb}")
        return self._verbs[verb](call, words)

    # Showing

    def _show(self, words: list[str], *, one_line: bool) -> Reply:
        what, *names = words or [""]
        if "jobs".startswith(what) and len(what) > 1:
            return self._show_jobs(names[0] if names else None, one_line=one_line)
        if "config".startswith(what) and len(what) > 1:
            return Reply(self._config())
        if "partition".startswith(what) and len(what) > 1 and one_line:
            return Reply("".join(self._partition_lines()))
        raise Refusal(f"invalid entity:{what} for keyword:show")

    def _partition_lines(self) -> Iterator[str]:
        partitions = self._emulator.settings.partitions
        for name, partition in partitions.items():
            minutes = partition.get("max_minutes")
            most = write_long_span(60 * minutes) if isinstance(minutes, int) else "UNLIMITED"
            default = "YES" if name == next(iter(partitions)) else "NO"
            state = "UP" if partition.get("up", True) else "DOWN"
            yield f"PartitionName={name} Default={default} MaxTime={most} State={state}\n"

    def _show_jobs(self, text: str | None, *, one_line: bool) -> Reply:
        found = self._records(text)
        if not found and text is None:
            return Reply("No jobs in the system\n")
        if not found:
            return Reply(f"Job {text} not found\n", code=1)
        shown = [self._lines(record) for record in found]
        if one_line:
            return Reply("".join(" ".join(lines) + " \n" for lines in shown))
        return Reply("".join("\n   ".join(lines) + "\n   \n\n" for lines in shown))

    def _records(self, text: str | None) -> list[Record]:
        if text is None:
            return [one for job in self._emulator.known_jobs() for one in records(job)]
        match = re.fullmatch(r"(\d+)(?:_(\d+))?", text)
        if match is None:
            raise Refusal(f"scontrol_print_job error: {_UNKNOWN}")
        number = int(match[1])
        job = self._emulator.known_job(number) or self._emulator.job_of_raw_id(number)
        if job is None:
            raise Refusal(f"slurm_load_jobs error: {_UNKNOWN}")
        found = [one for one in records(job) if one.task.known]
        if match[2]:
            return [one for one in found if int(match[2]) in [task.index for task in one.tasks]]
        if number != job.number:
            return [one for one in found if one.raw_id == number]
        return sorted(found, key=lambda one: not one.is_folded)

    def _lines(self, record: Record) -> list[str]:
        emulator, job, task, run = self._emulator, record.job, record.task, record.task.run
        state = emulator.state_of(task)
        code, number = emulator.exit_code_of(task)
        started = run is not None
        nodes = emulator.nodes_of(task)
        memory = f"{job.mem_per_node or job.mem_per_cpu}M"
        array = ""
        if job.is_array:
            array = f" ArrayJobId={job.number} ArrayTaskId={record.index_text}"
            array += f" ArrayTaskThrottle={job.throttle}" if job.throttle else ""
        cpus = job.request.share.cpus * job.request.nodes
        total = job.mem_per_node or job.mem_per_cpu * job.request.share.cpus
        eligible = write_moment(task.begin or job.begin or None, "Unknown")
        if started or not (job.begin or task.begin or job.dependency or job.holds):
            eligible = write_moment(job.submitted)
        stdout, stderr = emulator.output_paths(task, together=record.is_folded)
        lines = [
            f"JobId={record.raw_id}{array} JobName={job.name}",
            f"UserId={job.user}({job.uid}) GroupId={job.user}({job.uid}) MCS_label=N/A",
            f"Priority={job.priority} Nice=0 Account={job.account} QOS={job.qos}",
            f"JobState={state} Reason={reason_of(task)} "
            f"Dependency={emulator.dependency_text(task)}",
            f"Requeue={int(job.requeues)} Restarts={self._restarts(task)} BatchFlag=1 Reboot=0 "
            f"ExitCode={code}:{number}",
            f"RunTime={write_long_span(emulator.run_time(task))} "
            f"TimeLimit={_limit(job.request.walltime)} TimeMin=N/A",
            f"SubmitTime={write_moment(job.submitted)} EligibleTime={eligible}",
            f"AccrueTime={eligible}",
            f"StartTime={write_moment(emulator.start_of(task), 'Unknown')} "
            f"EndTime={write_moment(emulator.end_of(task), 'Unknown')} Deadline=N/A",
            f"SuspendTime=None SecsPreSuspend=0 LastSchedEval={write_moment(job.submitted)} "
            "Scheduler=Main",
            f"Partition={job.queue} AllocNode:Sid=localhost:1",
            f"ReqNodeList={','.join(job.nodelist) or '(null)'} "
            f"ExcNodeList={','.join(job.excluded) or '(null)'}",
            f"NodeList={nodes}",
        ]
        if nodes:
            lines.append(f"BatchHost={nodes.split(',')[0]}")
        lines += [
            f"NumNodes={job.request.nodes} NumCPUs={cpus} NumTasks={job.ntasks or 1} "
            f"CPUs/Task={job.cpus_per_task or 1} ReqB:S:C:T=0:0:*:*",
            f"TRES=cpu={cpus},mem={total}M,node={job.request.nodes},billing={cpus}",
            "Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=*",
            f"MinCPUsNode={job.cpus_per_task or 1} "
            f"MinMemory{'Node' if job.mem_per_node else 'CPU'}={memory} MinTmpDiskNode=0",
            f"Features={job.features or '(null)'} DelayBoot=00:00:00",
            "OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null)",
            f"Command={job.command or '(null)'}",
            f"WorkDir={job.directory}",
            *([f"Comment={job.comment} "] if job.comment else []),
            f"StdErr={stderr}",
            f"StdIn={job.stdin}",
            f"StdOut={stdout}",
            "Power=",
        ]
        return lines

    def _restarts(self, task: Task) -> int:
        return len(task.runs) if task.phase is Phase.PENDING else max(len(task.runs) - 1, 0)

    def _config(self) -> str:
        settings = self._emulator.settings
        storage = "slurmdbd" if settings.accounting else "none"
        values = {
            "AccountingStorageType": f"accounting_storage/{storage}",
            "ClusterName": settings.cluster,
            "FirstJobId": settings.first_number,
            "JobRequeue": 1,
            "KillWait": f"{settings.kill_wait:g} sec",
            "MaxArraySize": settings.max_array_size,
            "MaxJobCount": 50000,
            "MinJobAge": f"{settings.min_job_age:g} sec",
            "SLURM_VERSION": "22.05.8",
        }
        when = write_moment(self._emulator.engine.now())
        lines = [f"{name:<23} = {value}" for name, value in values.items()]
        return "\n".join([f"Configuration data as of {when}", *lines, ""])

    # Changing

    def _tasks(self, text: str) -> list[Task]:
        """The tasks an id means. Raises `LookupError` for an unknown one."""
        match = re.fullmatch(r"(\d+)(?:_(\[?[\d,:-]+\]?))?", text)
        job = self._emulator.known_job(int(match[1])) if match else None
        if match is None or job is None:
            raise LookupError(text)
        tasks = [task for task in job.present if task.known]
        if match[2]:
            wanted = indices.parse_list(match[2].strip("[]")) or []
            tasks = [task for task in tasks if task.index in wanted]
        return tasks

    def _each(
        self, words: list[str], change: Callable[[Task], str], unknown: str, tail: str = ""
    ) -> Reply:
        """Change every task of these ids; a text from `change` is why it could not be."""
        for text in ",".join(words).split(","):
            try:
                tasks = self._tasks(text)
            except LookupError:
                raise Refusal(unknown.format(id=text)) from None
            errors = [error for task in tasks if (error := change(task))]
            if errors and len(errors) == len(tasks):
                raise Refusal(f"{errors[0]} for job {text}\n{tail}".rstrip("\n"))
        return Reply()

    def _hold(self, call: Call, words: list[str]) -> Reply:
        def change(task: Task) -> str:
            if task.phase is Phase.OVER:
                return "Job has already finished"
            if task.phase is Phase.PENDING:
                self._emulator.engine.hold(task.job, "admin" if call.uid == 0 else "user")
                task.job.priority = 0
            return ""

        return self._each(
            words,
            change,
            f"{_UNKNOWN} for job {{id}}",
            "slurm_suspend error: Job has already finished",
        )

    def _release(self, call: Call, words: list[str]) -> Reply:
        def change(task: Task) -> str:
            if task.phase is Phase.OVER:
                return "Job has already finished"
            task.error = ""
            task.job.priority = 4294901760 - task.job.number
            for kind in ("user", "admin"):
                self._emulator.engine.release(task.job, kind)
            return ""

        return self._each(
            words,
            change,
            f"{_UNKNOWN} for job {{id}}",
            "slurm_suspend error: Job has already finished",
        )

    def _requeue(self, call: Call, words: list[str]) -> Reply:
        return self._each(words, self._emulator.requeue_task, f"{_UNKNOWN} for job {{id}}")

    def _requeue_hold(self, call: Call, words: list[str]) -> Reply:
        def change(task: Task) -> str:
            self._emulator.engine.hold(task.job, "user")
            task.error = "job requeued in held state"
            return self._emulator.requeue_task(task)

        return self._each(words, change, f"{_UNKNOWN} for job {{id}}")

    def _suspend(self, call: Call, words: list[str]) -> Reply:
        return self._each(words, self._emulator.suspend_task, f"{_UNKNOWN} for job {{id}}")

    def _resume(self, call: Call, words: list[str]) -> Reply:
        return self._each(words, self._emulator.resume_task, f"{_UNKNOWN} for job {{id}}")

    def _update(self, call: Call, words: list[str]) -> Reply:
        changes = dict(word.lower().partition("=")[::2] for word in words)
        if "nodename" in changes:
            return self._update_node(changes)
        text = changes.get("jobid", changes.get("job", ""))
        try:
            tasks = self._tasks(text)
        except LookupError:
            raise Refusal(f"{_UNKNOWN} for job {text}") from None
        for name, value in changes.items():
            if name == "arraytaskthrottle":
                tasks[0].job.throttle = int(value) or None
                self._emulator.engine.want_schedule()
            elif name not in ("jobid", "job"):
                raise Refusal(f"Update of this parameter is not supported: {name}={value}")
        over = [task for task in tasks if task.phase is Phase.OVER]
        if over and len(over) < len(tasks):
            job = over[0].job
            rest = indices.write_list([t.index or 0 for t in tasks if t.phase is not Phase.OVER])
            done = indices.write_list([task.index or 0 for task in over])
            raise Refusal(
                f"{job.number}_{done}: Job has already finished\n{job.number}_{rest}: No error"
            )
        return Reply()

    def _update_node(self, changes: dict[str, str]) -> Reply:
        named = [node for node in self._emulator.engine.nodes if node.name == changes["nodename"]]
        state = changes.get("state", "")
        if not named:
            raise Refusal("slurm_update error: Invalid node name specified")
        if state == "down":
            self._emulator.node_down(named[0].name)
        elif state in ("resume", "idle", "undrain"):
            if named[0].up:
                raise Refusal("slurm_update error: Invalid node state specified")
            self._emulator.node_up(named[0].name)
        elif state == "drain":
            named[0].up = False
        else:
            raise Refusal(f"Invalid input: state={state}\nRequest aborted")
        return Reply()

    def _ping(self, call: Call, words: list[str]) -> Reply:
        return Reply("Slurmctld(primary) at node01 is UP\n")


def _limit(seconds: float | None) -> str:
    return write_limit(None) if seconds is None else write_long_span(seconds)


def output_name(
    pattern: str, job: SlurmJob, task: Task, node: str, *, together: bool = False
) -> str:
    """Fill in the pattern of `--output`; `together` for elements that are still one record."""

    def replace(match: re.Match[str]) -> str:
        width, letter = match[1], match[2]
        index = NO_INDEX if task.index is None or together else task.index
        values: dict[str, object] = {
            "%": "%",
            "A": job.number,
            "a": index,
            "j": job.raw_id(task),
            "J": job.raw_id(task),
            "N": node,
            "n": 0,
            "s": "batch",
            "t": 0,
            "u": job.user,
            "x": job.name,
        }
        if letter not in values:
            return match[0]
        text = str(values[letter])
        return text.zfill(min(int(width), 10)) if width and text.isdigit() else text

    return re.sub(r"%(\d*)([%A-Za-z])", replace, pattern)
