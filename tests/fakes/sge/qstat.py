"""The fake `qstat` of Grid Engine, as a table, in detail and as XML."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import Parsed
from reflow.testing.fakes.model import Phase, Task, Wait

from tests.fakes.sge import grammar
from tests.fakes.sge.jobs import (
    SgeJob,
    state_of,
    waits_for_another,
    write_long_moment,
    write_moment,
    write_range,
    write_xml_moment,
)

if TYPE_CHECKING:
    from tests.fakes.sge.emulator import SgeEmulator

OPTIONS = grammar.table(
    """
    cb ext explain= f F g= help j= l= ncb ne njd nenv pe= pri q= qs= r s= t u= U= urg xml
    """
)
_XSD = "http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/resources/schemas/qstat"
_HEADER = (
    "job-ID  prior   name       user         state submit/start at     queue"
    "                          slots ja-task-ID \n" + "-" * 113 + "\n"
)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    job: SgeJob
    state: str
    moment: float
    queue: str
    tasks: str
    priority: str
    group: str
    """`running`, `pending` or `zombie`."""


class Qstat:
    """The command."""

    def __init__(self, emulator: SgeEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """List jobs, or show some in detail."""
        line = grammar.parse("qstat", call.arguments, OPTIONS)
        if line.operands:
            raise Refusal(f'qstat: invalid option argument "{line.operands[0]}"', 2)
        if line.has("help"):
            return Reply("SGE 8.1.9\nusage: qstat [options]\n")
        if line.has("j"):
            return self._details(line, call)
        rows = self._rows(line, call)
        if line.has("xml"):
            return Reply(self._xml(rows))
        return Reply(_HEADER + "".join(_table_line(row) for row in rows) if rows else "")

    # The table

    def _rows(self, line: Parsed, call: Call) -> list[Row]:
        users = line.last("u", call.user).split(",")
        wanted = line.last("s", "prs")
        rows: list[Row] = []
        for job in self._emulator.all_jobs():
            if not any(fnmatch.fnmatchcase(job.user, user) for user in users):
                continue
            if job.is_known:
                rows += self._of_job(job, expand=line.last("g") == "d")
            elif "z" in wanted and self._emulator.is_remembered(job):
                rows.append(self._zombie(job))
        groups = {"running": "r" in wanted or "s" in wanted, "pending": "p" in wanted}
        groups |= {"zombie": True}
        if wanted.startswith("a"):
            groups |= {"running": True, "pending": True}
        return sorted((row for row in rows if groups[row.group]), key=_rank)

    def _of_job(self, job: SgeJob, *, expand: bool) -> list[Row]:
        rows = []
        for task in job.tasks_left:
            if task.run is None:
                continue
            number = "" if task.index is None else str(task.index)
            queue = f"{job.queue}@{task.run.nodes[0].name}"
            rows.append(
                Row(job, state_of(task), task.run.started, queue, number, "0.50000", "running")
            )
        waiting: dict[str, list[Task]] = {}
        for task in job.waiting.values():
            waiting.setdefault(state_of(task), []).append(task)
        for state, tasks in waiting.items():
            plain = state in ("qw", "hqw") or not job.is_array
            groups = [[task] for task in tasks] if expand else [tasks]
            for group in groups:
                numbers = [task.index for task in group if task.index is not None]
                moment = group[0].runs[-1].started if group[0].runs else job.submitted
                priority = "0.00000" if plain and not group[0].runs else "0.50000"
                rows.append(Row(job, state, moment, "", write_range(numbers), priority, "pending"))
        return rows

    def _zombie(self, job: SgeJob) -> Row:
        numbers = [task.index for task in job.tasks.values() if task.index is not None]
        return Row(job, "z", job.submitted, "", write_range(numbers), "0.00000", "zombie")

    def _xml(self, rows: list[Row]) -> str:
        running = "".join(_xml_row(row) for row in rows if row.group == "running")
        waiting = "".join(_xml_row(row) for row in rows if row.group != "running")
        return (
            "<?xml version='1.0'?>\n"
            f'<job_info  xmlns:xsd="{_XSD}/qstat.xsd">\n'
            f"  <queue_info>\n{running}  </queue_info>\n"
            f"  <job_info>\n{waiting}  </job_info>\n"
            "</job_info>\n"
        )

    # Details

    def _details(self, line: Parsed, call: Call) -> Answer:
        words = list(filter(None, line.last("j").split(",")))
        found: list[SgeJob] = []
        for word in words:
            for job in self._emulator.jobs_called(word.partition(".")[0], "*"):
                if job not in found:
                    found.append(job)
        if line.has("xml"):
            return Reply(self._details_xml(words, found))
        if words and not found:
            listed = "\n".join(words)
            raise Refusal(f"Following jobs do not exist: \n{listed}")
        if not words:
            return Reply("\n".join(self._scheduling_info(None)) + "\n\n")
        return Reply("".join("=" * 62 + "\n" + self._detail(job) for job in found))

    def _detail(self, job: SgeJob) -> str:
        emulator = self._emulator
        merge = [("merge", "y")] if job.merge else []
        lines: list[tuple[str, object]] = [
            ("job_number", job.number),
            ("exec_file", f"job_scripts/{job.number}"),
            ("submission_time", write_long_moment(job.submitted)),
            ("owner", job.user),
            ("uid", job.uid),
            ("group", job.user),
            ("gid", job.uid),
            ("sge_o_home", emulator.home()),
            ("sge_o_log_name", job.user),
            ("sge_o_path", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
            ("sge_o_shell", "/bin/bash"),
            ("sge_o_tz", "UTC"),
            ("sge_o_workdir", job.submit_directory),
            ("sge_o_host", "localhost"),
            ("account", job.account),
            *([("cwd", job.directory)] if job.is_cwd else []),
            *merge,
            *([("hard resource_list", emulator.resource_text(job))] if job.resources else []),
            ("mail_list", f"{job.user}@node01"),
            ("notify", str(job.notify).upper()),
            ("job_name", job.name),
            *([("stdout_path_list", f"NONE:NONE:{job.stdout}")] if job.stdout else []),
            *([("stderr_path_list", f"NONE:NONE:{job.stderr}")] if job.stderr else []),
            ("jobshare", 0),
            *([("hard_queue_list", job.hard_queue)] if job.hard_queue else []),
            ("env_list", "TERM=NONE"),
            ("script_file", job.script_name),
        ]
        if job.parallel:
            lines.append(("parallel environment", f" {job.parallel} range: {job.slots}"))
        if job.asked_predecessors:
            listed = ",".join(map(str, sorted(job.predecessors)))
            lines.append(("jid_predecessor_list (req)", job.asked_predecessors))
            if listed:
                lines.append(("jid_predecessor_list", listed))
        if job.is_array:
            lines.append(("job-array tasks", job.task_text))
        if job.throttle:
            lines.append(("maximum concurrency", job.throttle))
        lines += [("binding", "NONE"), ("job_type", "NONE")]
        text = "".join(_detail_line(name, value) for name, value in lines)
        running = [task for task in job.tasks_left if task.run is not None]
        usage = "cpu=00:00:00, mem=0.00000 GB s, io=0.00000 GB, vmem=N/A, maxvmem=N/A"
        text += "".join(f"usage {task.index or 1:>9}:            {usage}\n" for task in running)
        text += "".join(f"binding {task.index or 1:>7}:            NONE\n" for task in running)
        for task in job.waiting.values():
            if task.error:
                text += f"error reason {task.index or 1:>10}:      {task.error}\n"
        return text + "\n".join(self._scheduling_info(job)) + "\n"

    def _scheduling_info(self, job: SgeJob | None) -> list[str]:
        lines = [
            f'queue instance "{name}@node01" dropped because it is disabled'
            for name, queue in self._emulator.settings.queues.items()
            if not queue.get("enabled", True)
        ]
        if job is not None:
            lines += self._why(job)
        lead = "scheduling info:            "
        return [(lead if not number else " " * len(lead)) + one for number, one in enumerate(lines)]

    def _why(self, job: SgeJob) -> list[str]:
        if any(task.error for task in job.waiting.values()):
            return ["Job is in error state"]
        if any(waits_for_another(task) for task in job.waiting.values()):
            return ["Job dependencies are not satisfied"]
        if job.reason is Wait.THROTTLE and job.waiting:
            return ["not all array tasks may be started due to 'max_aj_instances'"]
        if not job.waiting or job.reason is not Wait.RESOURCES:
            return []
        if job.parallel:
            return [f'cannot run in PE "{job.parallel}" because it only offers 0 slots']
        return [
            'queue instance "all.q@node01" dropped because it is full',
            "All queues dropped because of overload or full",
        ]

    def _details_xml(self, words: list[str], found: list[SgeJob]) -> str:
        if words and not found:
            listed = "".join(f"    <ST_name>{escape(word)}</ST_name>\n" for word in words)
            return f"<?xml version='1.0'?>\n<unknown_jobs >\n{listed}</unknown_jobs>\n"
        elements = "".join(self._detail_xml(job) for job in found)
        return (
            "<?xml version='1.0'?>\n"
            f'<detailed_job_info  xmlns:xsd="{_XSD}/detailed_job_info.xsd">\n'
            f"  <djob_info>\n{elements}  </djob_info>\n"
            "  <messages>\n    <element>\n    </element>\n  </messages>\n"
            "</detailed_job_info>\n"
        )

    def _detail_xml(self, job: SgeJob) -> str:
        simple = {
            "JB_job_number": job.number,
            "JB_ar": 0,
            "JB_exec_file": f"job_scripts/{job.number}",
            "JB_submission_time": int(job.submitted),
            "JB_owner": job.user,
            "JB_uid": job.uid,
            "JB_group": job.user,
            "JB_gid": job.uid,
            "JB_account": job.account,
            "JB_merge_stderr": str(job.merge).lower(),
            "JB_notify": str(job.notify).lower(),
            "JB_job_name": job.name,
            "JB_jobshare": 0,
            "JB_script_file": job.script_name,
        }
        text = "".join(_tag(name, value) for name, value in simple.items())
        running = [task for task in job.tasks_left if task.run is not None]
        if running:
            tasks = "".join(
                "        <ulong_sublist>\n"
                f"          <JAT_status>{_status_bits(task)}</JAT_status>\n"
                f"          <JAT_task_number>{task.index or 1}</JAT_task_number>\n"
                "        </ulong_sublist>\n"
                for task in running
            )
            text += f"      <JB_ja_tasks>\n{tasks}      </JB_ja_tasks>\n"
        if job.is_array:
            first, last = min(map(_number, job.tasks)), max(map(_number, job.tasks))
            text += (
                "      <JB_ja_structure>\n        <task_id_range>\n"
                f"          <RN_min>{first}</RN_min>\n          <RN_max>{last}</RN_max>\n"
                f"          <RN_step>{job.step}</RN_step>\n"
                "        </task_id_range>\n      </JB_ja_structure>\n"
            )
        if job.throttle:
            text += f"      <JB_ja_task_concurrency>{job.throttle}</JB_ja_task_concurrency>\n"
        return f"    <element>\n{text}    </element>\n"


def _rank(row: Row) -> tuple[int, bool, int]:
    """Running before waiting; of those that wait, the ones that ask for many slots first."""
    order = {"running": 0, "pending": 1, "zombie": 2}
    waits = row.group == "pending"
    return order[row.group], waits and row.state.startswith("h"), -row.job.slots if waits else 0


def _number(index: int | None) -> int:
    return index or 1


def _status_bits(task: Task) -> int:
    return 128 if task.phase is Phase.RUNNING else 128 | 0x40000


def _detail_line(name: str, value: object) -> str:
    return f"{name + ':':<28}{value}\n" if name != "parallel environment" else f"{name}: {value}\n"


def _table_line(row: Row) -> str:
    job = row.job
    return (
        f"{job.number:7d} {row.priority} {job.name[:10]:<10} {job.user[:12]:<12} "
        f"{row.state:<5} {write_moment(row.moment)} {row.queue:<30} {job.slots:5d} "
        + (row.tasks or " " * 7)
        + "\n"
    )


def _tag(name: str, value: object) -> str:
    return f"      <{name}>{escape(str(value))}</{name}>\n"


def _xml_row(row: Row) -> str:
    job = row.job
    start = "JAT_start_time" if row.group == "running" else "JB_submission_time"
    tags: list[tuple[str, object]] = [
        ("JB_job_number", job.number),
        ("JAT_prio", row.priority),
        ("JB_name", job.name),
        ("JB_owner", job.user),
        ("state", row.state),
        (start, write_xml_moment(row.moment)),
        ("queue_name", row.queue),
        ("slots", job.slots),
    ]
    if row.tasks:
        tags.append(("tasks", row.tasks))
    inside = "".join(_tag(name, value) for name, value in tags)
    return f'    <job_list state="{row.group}">\n{inside}    </job_list>\n'
