"""A real Grid Engine on this machine, without systemd: everything in one folder.

    python -m tests.live.sge_cluster install
    python -m tests.live.sge_cluster start /tmp/cell [--slots 4] [--max-u-jobs 3] ...
    python -m tests.live.sge_cluster stop /tmp/cell

`start` prints the variables that a client of the cell needs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests.live.clusters import Queued
from tests.live.daemons import Daemons, StartError, free_ports, install_packages, wait_for

PACKAGES = ("gridengine-master", "gridengine-exec", "gridengine-client")
_SHARED = Path("/usr/share/gridengine")
_TOOLS = Path("/usr/lib/gridengine")
_STATES = {"r": "RUNNING", **dict.fromkeys(("q", "qw", "hqw"), "PENDING")}
"""Those that every scheduler has; before them stands R where a job is run again."""
_ARCHITECTURE_INDEPENDENT = Path("/var/lib/gridengine")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What kind of cell it is."""

    slots: int = 8
    """That the only host pretends to have."""
    flush_time: str = "0:0:1"
    """How late finished jobs reach qacct; a site's default is 15 seconds."""
    max_u_jobs: int = 0
    """Most jobs a user may have; 0 for no limit."""
    max_aj_tasks: int = 75000
    max_unheard: str = "0:0:15"
    """After how long a host that is not heard of is said to be away."""


class SGECluster:
    """One cell, running or not, in one folder."""

    scheduler = "sge"
    submit = "qsub"
    cancel = "qdel"
    in_a_job = "JOB_ID"
    hand_in: tuple[str, ...] = ("qsub", "-terse")

    def __init__(self, directory: Path, options: Options | None = None) -> None:
        self.directory = directory
        known = directory / "options.json"
        if options is None:
            options = Options(**json.loads(known.read_text())) if known.exists() else Options()
        self.options = options
        self.host = socket.gethostname()
        self._root = directory / "root"
        self._common = self._root / "default" / "common"
        ports = self._ports()
        self.environment = {
            "SGE_ROOT": str(self._root),
            "SGE_CELL": "default",
            "SGE_CLUSTER_NAME": "reflow",
            "SGE_QMASTER_PORT": str(ports["qmaster"]),
            "SGE_EXECD_PORT": str(ports["execd"]),
        }
        # With SGE_ND they stay in the foreground.
        self.daemons = Daemons(directory, {**self.environment, "SGE_ND": "1", "SHELL": "/bin/bash"})

    def run(self, *command: str, check: bool = True, timeout: float = 60) -> str:
        """What one of Grid Engine's commands prints."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            said = done.stderr.strip() or done.stdout.strip()
            raise StartError(f"{command} ended with {done.returncode}: {said}")
        return done.stdout

    def start(self) -> None:
        """Bring everything up, and return when the queue takes jobs."""
        try:
            complete = self.directory / "complete"
            if not complete.exists():
                self._make_cell()
            self.start_qmaster()
            if not complete.exists():
                self._set_up()
                complete.touch()
            self.start_execd()
        except StartError as error:
            logs = self.daemons.tails()
            self.stop()
            raise StartError(f"{error}\n{logs}") from error

    def stop(self) -> None:
        """End every job and both daemons."""
        if self.daemons.alive("qmaster"):
            with contextlib.suppress(StartError, subprocess.TimeoutExpired):
                self.end_all_jobs()
        for name in reversed(self.daemons.names()):
            self.daemons.stop(name)
        self._end_orphans()

    def end_all_jobs(self) -> None:
        """Delete whatever is in the queue and wait until it is gone."""
        self.run("qdel", "-u", "*", check=False, timeout=20)
        wait_for("an empty queue", lambda: not self.run("qstat", "-u", "*").strip(), 60)

    def queue(self) -> list[Queued]:
        """Whatever waits or runs, each element for itself."""
        shown = self.run("qstat", "-u", "*", "-s", "prs", "-g", "d", "-xml", check=False)
        if not shown:
            return []
        jobs = []
        for job in ET.fromstring(shown).iter("job_list"):
            job_id, name, state, task = (
                job.findtext(tag, "") for tag in ("JB_job_number", "JB_name", "state", "tasks")
            )
            word = _STATES.get(state.removeprefix("R"), state)
            jobs.append(Queued(f"{job_id}.{task}" if task else job_id, job_id, name, word))
        return jobs

    def array_line(self, size: int) -> str:
        """The directive for an array."""
        return f"#$ -t 1-{size}\n"

    def element(self, job_id: str, position: int) -> str:
        """What an array's element is called."""
        return f"{job_id}.{position + 1}"

    @contextlib.contextmanager
    def without_controller(self) -> Iterator[None]:
        """sge_qmaster is down while this lasts; it went without a word."""
        self.daemons.kill("qmaster")
        try:
            yield
        finally:
            self.start_qmaster()

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """No job starts while this lasts."""
        self.run("qmod", "-d", "all.q")
        try:
            yield
        finally:
            self.run("qmod", "-e", "all.q")

    def start_qmaster(self) -> None:
        """Start sge_qmaster and wait until it answers."""
        self.daemons.start("qmaster", ["/usr/sbin/sge_qmaster"])

        def answers() -> bool:
            with contextlib.suppress(StartError):
                self.run("qconf", "-sh")
                return True
            return False

        wait_for("sge_qmaster", answers, 30)

    def start_execd(self) -> None:
        """Start sge_execd and wait until qmaster has heard of it."""
        self.daemons.start("execd", ["/usr/sbin/sge_execd"])
        wait_for("an open queue", lambda: self.queue_state() == "", 60)

    @contextlib.contextmanager
    def host_dead(self) -> Iterator[None]:
        """The only host is down while this lasts, and so is all that ran there."""
        self.daemons.kill("execd")
        self._end_orphans()
        try:
            yield
        finally:
            self.start_execd()

    def queue_state(self) -> str:
        """The letters that `qstat -f` has for the queue: `u` where its host is away."""
        for line in self.run("qstat", "-f", "-q", "all.q").splitlines():
            words = line.split()
            if words and words[0].startswith("all.q@"):
                return "".join(words[5:]) if words[3] != "-NA-" else "u"
        return "none"

    def configure(self, name: str, value: object) -> None:
        """Change one setting of the whole cell."""
        lines = self.run("qconf", "-sconf").splitlines()[1:]
        changed = [f"{name} {value}" if line.split()[:1] == [name] else line for line in lines]
        path = self.directory / "log" / "global"
        path.write_text("\n".join(changed) + "\n")
        self.run("qconf", "-Mconf", str(path))

    def _ports(self) -> dict[str, int]:
        """Ports by daemon, chosen once for the life of the folder."""
        path = self.directory / "ports.json"
        if not path.exists():
            ports = dict(zip(("qmaster", "execd"), free_ports(2), strict=True))
            self.directory.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(ports))
        found: dict[str, int] = json.loads(path.read_text())
        return found

    def _make_cell(self) -> None:
        spool = self.directory / "spool"
        for folder in (self._common, spool / "qmaster" / "job_scripts", spool / "execd"):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (spool / "db", self.directory / "log"):
            folder.mkdir(exist_ok=True)
        (self.directory / "options.json").write_text(json.dumps(asdict(self.options)))
        for name in ("bin", "lib", "util", "utilbin"):
            link = self._root / name
            here = _ARCHITECTURE_INDEPENDENT / name
            if not link.is_symlink():
                link.symlink_to(here if here.exists() else _SHARED / name)
        (self._common / "act_qmaster").write_text(f"{self.host}\n")
        (self._common / "cluster_name").write_text("reflow\n")
        (self._common / "host_aliases").write_text(" ".join(_names_of_this_host()) + "\n")
        bootstrap = {
            "admin_user": "none",
            "spooling_params": spool / "db",
            "qmaster_spool_dir": spool / "qmaster",
            "ignore_fqdn": "true",
        }
        default = (_SHARED / "default-bootstrap").read_text()
        (self._common / "bootstrap").write_text(_changed(default, bootstrap))
        configuration = {
            "execd_spool_dir": spool / "execd",
            # What the person who runs the tests has in a profile is nobody else's business.
            "login_shells": "none",
            "gid_range": _groups_of_its_own(),
            "min_uid": 0,
            "min_gid": 0,
            "mailer": "/bin/true",
            "administrator_mail": "none",
            "load_report_time": "00:00:03",
            "max_unheard": self.options.max_unheard,
            "max_u_jobs": self.options.max_u_jobs,
            "max_aj_tasks": self.options.max_aj_tasks,
            "reporting_params": "accounting=true reporting=false "
            f"flush_time={self.options.flush_time} joblog=false sharelog=00:00:00",
        }
        path = self.directory / "log" / "configuration"
        default = (_SHARED / "default-configuration").read_text()
        path.write_text(_changed(default, configuration))
        self.run(str(_TOOLS / "spoolinit"), "berkeleydb", "libspoolb", str(spool / "db"), "init")
        resources = _SHARED / "util" / "resources"
        for words in (
            ("configuration", str(path)),
            ("complexes", str(resources / "centry")),
            ("usersets", str(resources / "usersets")),
            ("managers", "root"),
        ):
            self.run(str(_TOOLS / "spooldefaults"), *words)

    def _set_up(self) -> None:
        """The scheduler, memory as something to be used up, an environment, two queues."""
        self.run("qconf", "-ah", self.host, check=False)
        self.run("qconf", "-as", self.host, check=False)
        quick = {
            "schedule_interval": "0:0:1",
            "flush_submit_sec": 1,
            "flush_finish_sec": 1,
            "job_load_adjustments": "NONE",
        }
        self._load("-Msconf", _changed(self.run("qconf", "-ssconf"), quick))
        complexes = [
            "h_vmem h_vmem MEMORY <= YES YES 100M 0" if line.startswith("h_vmem ") else line
            for line in self.run("qconf", "-sc").splitlines()
        ]
        complexes += ["gpu gpu INT <= YES YES 0 0", "exclusive excl BOOL EXCL YES YES FALSE 0"]
        self._load("-Mc", "\n".join(complexes) + "\n")
        nothing = ("user_lists", "xuser_lists", "projects", "xprojects")
        host = {
            "hostname": self.host,
            "load_scaling": "NONE",
            "complex_values": "h_vmem=8G,gpu=2,exclusive=true",
            **dict.fromkeys((*nothing, "usage_scaling", "report_variables"), "NONE"),
        }
        self._load("-Ae", _lines(host))
        for name, rule in (("loose", "$round_robin"), ("onehost", "$pe_slots")):
            environment = {
                "pe_name": name,
                "slots": 999,
                **dict.fromkeys(("user_lists", "xuser_lists"), "NONE"),
                **dict.fromkeys(("start_proc_args", "stop_proc_args"), "NONE"),
                "allocation_rule": rule,
                "control_slaves": "FALSE",
                "job_is_first_task": "TRUE",
                "urgency_slots": "min",
                "accounting_summary": "FALSE",
                "qsort_args": "NONE",
            }
            self._load("-Ap", _lines(environment))
        for name, state in (("all.q", "default"), ("closed.q", "disabled")):
            self._load("-Aq", self._queue(name, state))

    def _queue(self, name: str, state: str) -> str:
        values: dict[str, object] = {
            "qname": name,
            "hostlist": self.host,
            "seq_no": 0,
            "nsuspend": 1,
            "suspend_interval": "00:05:00",
            "priority": 0,
            "min_cpu_interval": "00:05:00",
            "processors": "UNDEFINED",
            "qtype": "BATCH",
            "pe_list": "loose onehost",
            "rerun": "FALSE",
            "slots": self.options.slots,
            "tmpdir": "/tmp",
            "shell": "/bin/sh",
            # As it comes: the first line of a script does not count.
            "shell_start_mode": "posix_compliant",
            "notify": "00:00:05",
            "initial_state": state,
        }
        none = (
            "load_thresholds suspend_thresholds ckpt_list prolog epilog starter_method "
            "suspend_method resume_method terminate_method owner_list user_lists xuser_lists "
            "subordinate_list complex_values projects xprojects calendar"
        )
        limits = "rt cpu fsize data stack core rss vmem"
        values |= dict.fromkeys(none.split(), "NONE")
        values |= {f"{kind}_{limit}": "INFINITY" for limit in limits.split() for kind in "sh"}
        return _lines(values)

    def _load(self, option: str, text: str) -> None:
        path = self.directory / "log" / f"settings{option}"
        path.write_text(text)
        self.run("qconf", option, str(path))

    def _end_orphans(self) -> None:
        """End the shepherds of jobs whose execd was killed, and those jobs."""
        spool = str(self.directory / "spool" / "execd")
        mark = f"SGE_JOB_SPOOL_DIR={spool}".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                shepherd = str((entry / "cwd").readlink()).startswith(spool)
                if shepherd or mark in (entry / "environ").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)


@contextlib.contextmanager
def running(options: Options | None = None) -> Iterator[SGECluster]:
    """A cell for as long as it is needed."""
    install_packages(PACKAGES)
    directory = Path(tempfile.mkdtemp(prefix="rg-", dir="/tmp"))
    cell = SGECluster(directory, options or Options())
    cell.start()
    try:
        yield cell
    finally:
        cell.stop()
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def client_of(cell: SGECluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[SGECluster]:
    """Make this process a client of a cell; the queue is empty afterwards."""
    for name, value in cell.environment.items():
        monkeypatch.setenv(name, value)
    yield cell
    cell.end_all_jobs()


def _groups_of_its_own() -> str:
    """Supplementary groups that no other cell on this machine gives its jobs.

    When a job ends, execd kills whatever process is in the job's group.
    """
    first = 10**6 + 1000 * secrets.randbelow(10**5)
    return f"{first}-{first + 999}"


def _names_of_this_host() -> list[str]:
    """Whatever loopback is called is this host."""
    names = [socket.gethostname(), "localhost"]
    with contextlib.suppress(OSError):
        name, others, _ = socket.gethostbyaddr("127.0.0.1")
        names += [name, *others]
    return list(dict.fromkeys(names))


def _changed(text: str, values: Mapping[str, object]) -> str:
    """A list of settings with some of them changed."""
    lines = [
        f"{line.split()[0]} {values[line.split()[0]]}" if line.split()[:1][0] in values else line
        for line in text.splitlines()
        if line.split()
    ]
    return "\n".join(lines) + "\n"


def _lines(values: Mapping[str, object]) -> str:
    return "".join(f"{name} {value}\n" for name, value in values.items())


def main() -> None:
    """Start and stop a cell by hand."""
    parser = argparse.ArgumentParser(description="A real Grid Engine for tests.")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("install")
    start = actions.add_parser("start")
    stop = actions.add_parser("stop")
    for action in (start, stop):
        action.add_argument("directory", type=Path)
    start.add_argument("--slots", type=int, default=Options.slots)
    start.add_argument("--flush-time", default=Options.flush_time)
    start.add_argument("--max-u-jobs", type=int, default=Options.max_u_jobs)
    start.add_argument("--max-aj-tasks", type=int, default=Options.max_aj_tasks)
    stop.add_argument("--remove", action="store_true", help="also remove the folder")
    given = vars(parser.parse_args())
    action = given.pop("action")
    if action == "install":
        install_packages(PACKAGES)
        return
    directory = given.pop("directory").resolve()
    if action == "start":
        install_packages(PACKAGES)
        cell = SGECluster(directory, Options(**given))
        cell.start()
        for name, value in cell.environment.items():
            print(f"export {name}={value}")
        return
    SGECluster(directory).stop()
    if given["remove"]:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
