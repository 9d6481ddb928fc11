"""The memory of elements, and kills for lack of it, as a made-up kernel tells of them."""

from __future__ import annotations

from pathlib import Path
from signal import SIGKILL, SIGSEGV, SIGTERM

import pytest
from reflow.execution.pool import usage
from reflow.execution.pool.usage import OutOfMemoryKills, has_more_memory, memory_of
from reflow.model.jobs import JobStatus
from reflow.model.states import FailureCause, JobState


class Kernel:
    """Made-up `/proc` and `/sys/fs/cgroup`."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.cgroups = folder / "cgroup"

    def process(
        self, pid: int, *children: int, anonymous: int = 0, threads: dict[int, str] | None = None
    ) -> None:
        folder = self.proc / str(pid)
        folder.mkdir(parents=True)
        lines = ["Name:\tpython", "VmRSS:\t999999 kB", f"RssAnon:\t{anonymous} kB"]
        part = f"Pss_Anon:\t{anonymous // 4} kB\nPss_Shmem:\t0 kB\n"
        (folder / "smaps_rollup").write_text("ffff [rollup]\nPss:\t999999 kB\n" + part)
        lines += ["RssFile:\t777777 kB", "RssShmem:\t1 kB"]
        (folder / "status").write_text("\n".join(lines) + "\n")
        given = {pid: " ".join(map(str, children))} if threads is None else threads
        for thread, text in given.items():
            (folder / "task" / str(thread)).mkdir(parents=True)
            (folder / "task" / str(thread) / "children").write_text(text)

    def in_groups(self, text: str) -> None:
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "self" / "cgroup").write_text(text)

    def counter(self, name: str, text: str) -> None:
        path = self.cgroups / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel(tmp_path)
    monkeypatch.setattr(usage, "PROC", made.proc)
    monkeypatch.setattr(usage, "CGROUPS", made.cgroups)
    return made


# -- memory --------------------------------------------------------------------------------
def test_what_is_mapped_from_files_is_not_counted(kernel: Kernel) -> None:
    kernel.process(10, anonymous=100)
    assert memory_of(10) == 101 * 1024


def test_what_processes_share_after_a_fork_counts_once(kernel: Kernel) -> None:
    kernel.process(10, 11, 12, 13, anonymous=1000)
    for child in (11, 12, 13):
        kernel.process(child, anonymous=1000)
    assert memory_of(10) > 4000 * 1024
    assert has_more_memory(10, 999 * 1024)
    assert not has_more_memory(10, 1001 * 1024)


def test_where_parts_are_not_told_all_of_it_counts(kernel: Kernel) -> None:
    kernel.process(10, anonymous=1000)
    (kernel.proc / "10" / "smaps_rollup").unlink()
    assert has_more_memory(10, 900 * 1024)


def test_all_descendants_count_whichever_thread_has_started_them(kernel: Kernel) -> None:
    kernel.process(10, anonymous=100, threads={10: "11 ", 15: "12 13 ", 16: ""})
    kernel.process(11, 14, anonymous=1000)
    kernel.process(12, anonymous=1)
    kernel.process(13, anonymous=10)
    kernel.process(14, anonymous=10_000)
    assert memory_of(10) == (100 + 1000 + 1 + 10 + 10_000 + 5) * 1024


def test_a_child_that_has_ended_meanwhile_hides_no_other(kernel: Kernel) -> None:
    kernel.process(10, 11, 12, anonymous=100)
    kernel.process(12, anonymous=1000)
    assert memory_of(10) == 1102 * 1024


def test_a_process_that_is_gone_or_a_zombie_has_none(kernel: Kernel) -> None:
    kernel.process(10)
    (kernel.proc / "10" / "status").write_text("Name:\tpython\nState:\tZ (zombie)\n")
    assert memory_of(10) == 0
    assert memory_of(11) == 0


@pytest.mark.parametrize("text", ["RssAnon:\n", "RssAnon:\tmuch kB\n"])
def test_a_status_that_reads_otherwise_is_no_error(kernel: Kernel, text: str) -> None:
    kernel.process(10)
    (kernel.proc / "10" / "status").write_text(text)
    assert memory_of(10) == 0


# -- kills ---------------------------------------------------------------------------------
V1 = "12:cpu,cpuacct:/job\n9:memory:/slurm/uid_7/job_3\n1:name=systemd:/\n"
V2 = "0::/system.slice/job_3.scope\n"
HYBRID = V1 + "0::/system.slice\n"
V1_FILE = "memory/slurm/uid_7/job_3/memory.oom_control"
V2_FILE = "system.slice/job_3.scope/memory.events"
V1_TEXT = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
V2_TEXT = "low 0\nhigh 9\nmax 77\noom 5\noom_kill {}\noom_group_kill 8\n"


def killed(number: int = SIGKILL, cause: FailureCause | None = None) -> JobStatus:
    return JobStatus(native_id="1", state=JobState.FAILED, signal=number, cause=cause)


@pytest.mark.parametrize(
    ("groups", "name", "text"),
    [(V1, V1_FILE, V1_TEXT), (V2, V2_FILE, V2_TEXT), (HYBRID, V1_FILE, V1_TEXT)],
    ids=["v1", "v2", "hybrid"],
)
def test_a_kill_is_for_lack_of_memory_where_the_kernel_has_counted_one_more(
    kernel: Kernel, groups: str, name: str, text: str
) -> None:
    kernel.in_groups(groups)
    kernel.counter(name, text.format(3))
    kills = OutOfMemoryKills()
    assert kills.explain(killed()).cause is None, "those before are not this one's"

    kernel.counter(name, text.format(5))
    causes = [kills.explain(killed()).cause for _ in range(3)]
    assert causes == [FailureCause.MEMORY, FailureCause.MEMORY, None], "each counts once"


def test_other_ends_are_not_put_down_to_the_kernel(kernel: Kernel) -> None:
    kernel.in_groups(V2)
    kernel.counter(V2_FILE, V2_TEXT.format(0))
    kills = OutOfMemoryKills()
    kernel.counter(V2_FILE, V2_TEXT.format(1))
    for number in (SIGSEGV, SIGTERM):
        assert kills.explain(killed(number)).cause is None
    assert kills.explain(killed(cause=FailureCause.WALLTIME)).cause is FailureCause.WALLTIME
    assert kills.explain(killed()).cause is FailureCause.MEMORY, "it is left for the one killed"


@pytest.mark.parametrize("groups", [None, "", "nonsense\n", V1, V2])
def test_without_a_counter_nothing_is_known(kernel: Kernel, groups: str | None) -> None:
    if groups is not None:
        kernel.in_groups(groups)
    assert OutOfMemoryKills().explain(killed()) == killed()


@pytest.mark.parametrize("text", ["", "oom_kill\n", "oom_kill many\n"])
def test_a_counter_that_reads_otherwise_is_no_error(kernel: Kernel, text: str) -> None:
    kernel.in_groups(V2)
    kernel.counter(V2_FILE, text)
    assert OutOfMemoryKills().explain(killed()) == killed()
