"""A real Slurm on this machine, without systemd: everything in one folder, loopback only.

    python -m tests.live.slurm_cluster install
    python -m tests.live.slurm_cluster start /tmp/cluster [--no-accounting] [--max-array 101] ...
    python -m tests.live.slurm_cluster stop /tmp/cluster

A client of the cluster needs SLURM_CONF=/tmp/cluster/etc/slurm.conf in its environment.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.live.clusters import Queued
from tests.live.daemons import (
    DAEMON_PATH,
    Daemons,
    StartError,
    free_ports,
    install_packages,
    wait_for,
)

PACKAGES = ("munge", "slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins")
ACCOUNTING_PACKAGES = (
    "slurmdbd",
    "slurm-wlm-mysql-plugin",
    "mariadb-server",
    "mariadb-client",
)
GPU_DEVICES = ("/dev/zero", "/dev/full")
CGROUP_MEMORY = Path("/sys/fs/cgroup/memory")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What kind of cluster it is."""

    accounting: bool = True
    cgroup: bool = False
    """Memory is confined by cgroup v1; otherwise it is polled every second."""
    nodes: int = 2
    cpus: int = 8
    """That each node pretends to have."""
    memory: int = 8000
    """MiB that each node pretends to have."""
    max_array: int = 10001
    """MaxArraySize: one more than the largest index."""
    gpus: int = 0
    """That each node pretends to have, at most two."""
    min_job_age: int = 300
    """Seconds that slurmctld remembers a finished job."""


class SlurmCluster:
    """One cluster, running or not, in one folder."""

    scheduler = "slurm"
    submit = "sbatch"
    cancel = "scancel"
    in_a_job = "SLURM_JOB_ID"
    hand_in: tuple[str, ...] = ("sbatch", "--parsable")

    def __init__(self, directory: Path, options: Options | None = None) -> None:
        self.directory = directory
        known = directory / "options.json"
        if options is None:
            options = Options(**json.loads(known.read_text())) if known.exists() else Options()
        self.options = options
        self.conf = directory / "etc" / "slurm.conf"
        self.daemons = Daemons(directory, {"SLURM_CONF": str(self.conf)})

    @property
    def environment(self) -> dict[str, str]:
        """What a client of this cluster adds to its environment."""
        return {"SLURM_CONF": str(self.conf)}

    def nodes(self) -> list[str]:
        """Names of the pretended nodes."""
        return [f"node{number:02d}" for number in range(1, self.options.nodes + 1)]

    def run(self, *command: str, check: bool = True, timeout: float = 60) -> str:
        """What one of Slurm's commands prints."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise StartError(f"{command} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def start(self) -> None:
        """Bring everything up, and return when every node takes jobs."""
        try:
            self._configure()
            self._start_munge()
            if self.options.accounting:
                self._start_database()
                self.start_accounting()
            self.start_controller()
            for node in self.nodes():
                self.start_node(node)
            wait_for("idle nodes", self._ready)
        except StartError as error:
            logs = self.daemons.tails()
            self.stop()
            raise StartError(f"{error}\n{logs}") from error

    def stop(self) -> None:
        """End every job and every daemon."""
        if self.daemons.alive("slurmctld"):
            with contextlib.suppress(StartError, subprocess.TimeoutExpired):
                self.end_all_jobs()
        for name in reversed(self.daemons.names()):
            self.daemons.stop(name)
        if self.options.cgroup:
            _remove_cgroups(self.nodes())

    def end_all_jobs(self) -> None:
        """Cancel whatever is in the queue and wait until it is gone."""
        self.run("scancel", "--user=root", timeout=20)
        wait_for("an empty queue", lambda: not self.run("squeue", "--noheader").strip(), 60)

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self.daemons.start("slurmctld", ["/usr/sbin/slurmctld", "-D"])
        wait_for("slurmctld", lambda: "is UP" in self.run("scontrol", "ping", check=False), 30)

    def start_accounting(self) -> None:
        """Start slurmdbd, wait until it answers, and give root an account."""
        self.daemons.start("slurmdbd", ["/usr/sbin/slurmdbd", "-D"])
        wait_for("slurmdbd", self._accounting_answers)
        if "reflow" not in self.run("sacctmgr", "-nP", "show", "cluster", "format=cluster"):
            self._sacctmgr("add", "cluster", "reflow")
            self._sacctmgr("add", "account", "tests")
            self._sacctmgr("add", "user", "root", "account=tests", "defaultaccount=tests")
            self._sacctmgr("add", "qos", "few", "MaxSubmitJobsPerUser=3", "Flags=DenyOnLimit")
            self._sacctmgr("modify", "user", "root", "set", "qos=normal,few", "defaultqos=normal")

    def start_node(self, node: str) -> None:
        """Start one node's slurmd."""
        (self.directory / "spool" / node).mkdir(parents=True, exist_ok=True)
        self.daemons.start(f"slurmd-{node}", ["/usr/sbin/slurmd", "-D", "-N", node])

    def queue(self) -> list[Queued]:
        """Whatever waits or runs, each element for itself."""
        shown = self.run("squeue", "--noheader", "--array", "--format=%i|%F|%j|%T|%r", check=False)
        return [Queued(*line.split("|", 4)) for line in shown.splitlines()]

    def array_line(self, size: int) -> str:
        """The directive for an array."""
        return f"#SBATCH --array=0-{size - 1}\n"

    def element(self, job_id: str, position: int) -> str:
        """What an array's element is called."""
        return f"{job_id}_{position}"

    @contextlib.contextmanager
    def without_controller(self) -> Iterator[None]:
        """slurmctld is down while this lasts."""
        self.daemons.stop("slurmctld")
        try:
            yield
        finally:
            self.start_controller()

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """No job starts while this lasts."""
        self.run("scontrol", "update", "partition=main", "state=down")
        try:
            yield
        finally:
            self.run("scontrol", "update", "partition=main", "state=up")

    def hurry(self, native_id: str) -> None:
        """Let a requeued job start soon; Slurm makes it wait for two minutes.

        Started within the second of its end, it would be taken for the one that was to end.
        """
        time.sleep(3)
        self.run("scontrol", "update", f"jobid={native_id}", "StartTime=now")

    def limit_submitted_jobs(self, most: int) -> None:
        """Let root have at most so many jobs in the queue; -1 lifts the limit."""
        self._sacctmgr("modify", "user", "root", "set", f"MaxSubmitJobs={most}")

    def _sacctmgr(self, *words: str) -> None:
        self.run("sacctmgr", "--immediate", *words)

    def _accounting_answers(self) -> bool:
        with contextlib.suppress(StartError):
            self.run("sacctmgr", "-n", "show", "cluster")
            return True
        return False

    def _ready(self) -> bool:
        shown = self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%N %t", check=False)
        states = dict(line.split() for line in shown.splitlines())
        return len(states) == self.options.nodes and set(states.values()) <= {"idle", "mix"}

    def _start_munge(self) -> None:
        etc, run = self.directory / "etc", self.directory / "run"
        key = etc / "munge.key"
        if not key.exists():
            key.write_bytes(os.urandom(1024))
            key.chmod(0o600)
        command = [
            "/usr/sbin/munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--socket={run / 'munge.socket'}",
            f"--pid-file={run / 'munged.pid'}",
            f"--log-file={self.directory / 'log' / 'munged.log'}",
            f"--seed-file={self.directory / 'state' / 'munge.seed'}",
        ]
        self.daemons.start("munged", command)
        wait_for("munged", (run / "munge.socket").exists, 10)

    def _start_database(self) -> None:
        data, run = self.directory / "db", self.directory / "run"
        access = ["--no-defaults", f"--socket={run / 'mariadb.socket'}"]
        if not (data / "mysql").exists():
            # Two at once have been seen to fail with each other's temporary tables.
            with _alone():
                self.run(
                    "mariadb-install-db",
                    "--no-defaults",
                    "--user=root",
                    f"--datadir={data}",
                    "--skip-test-db",
                    "--auth-root-authentication-method=socket",
                )
        serve = [
            "/usr/sbin/mariadbd",
            *access,
            "--user=root",
            f"--datadir={data}",
            f"--pid-file={run / 'mariadb.pid'}",
            "--bind-address=127.0.0.1",
            f"--port={self._ports()['database']}",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=64M",
            "--innodb-lock-wait-timeout=900",
        ]
        self.daemons.start("mariadbd", serve)

        def answers() -> bool:
            with contextlib.suppress(StartError):
                self.run("mariadb-admin", *access, "ping")
                return True
            return False

        wait_for("MariaDB", answers)
        statements = (
            "CREATE DATABASE IF NOT EXISTS slurm_acct_db;"
            "CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY 'slurm';"
            "GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';"
        )
        self.run("mariadb", *access, "-e", statements)

    def _ports(self) -> dict[str, int]:
        """Ports by purpose, chosen once for the life of the folder."""
        path = self.directory / "ports.json"
        if not path.exists():
            names = ["controller", "accounting", "database", *self.nodes()]
            path.write_text(json.dumps(dict(zip(names, free_ports(len(names)), strict=True))))
        ports: dict[str, int] = json.loads(path.read_text())
        return ports

    def _configure(self) -> None:
        for name in ("etc", "state", "spool", "log", "run", "db"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        environment = self.directory / "state" / "env_cache" / "root"
        environment.parent.mkdir(exist_ok=True)
        environment.write_text(f"HOME=/root\nUSER=root\nSHELL=/bin/bash\nPATH={DAEMON_PATH}\n")
        (self.directory / "options.json").write_text(json.dumps(asdict(self.options)))
        self.conf.write_text(self._slurm_conf())
        if self.options.cgroup:
            (self.directory / "etc" / "cgroup.conf").write_text(
                "CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\n"
                "ConstrainRAMSpace=yes\nConstrainSwapSpace=no\nConstrainCores=no\n"
            )
        if self.options.gpus:
            (self.directory / "etc" / "gres.conf").write_text(
                # Devices that are there on every machine stand for them.
                f"Name=gpu File={','.join(GPU_DEVICES[: self.options.gpus])}\n"
            )
        if self.options.accounting:
            path = self.directory / "etc" / "slurmdbd.conf"
            path.write_text(self._slurmdbd_conf())
            path.chmod(0o600)

    def _slurm_conf(self) -> str:
        where, ports, options = self.directory, self._ports(), self.options
        host = socket.gethostname().partition(".")[0]
        lines = [
            "ClusterName=reflow",
            f"SlurmctldHost={host}(127.0.0.1)",
            "SlurmUser=root",
            "SlurmdUser=root",
            "AuthType=auth/munge",
            f"AuthInfo=socket={where}/run/munge.socket",
            "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny",
            f"SlurmctldPort={ports['controller']}",
            f"SlurmctldPidFile={where}/run/slurmctld.pid",
            f"SlurmctldLogFile={where}/log/slurmctld.log",
            f"SlurmdPidFile={where}/run/slurmd-%n.pid",
            f"SlurmdLogFile={where}/log/slurmd-%n.log",
            f"SlurmdSpoolDir={where}/spool/%n",
            f"StateSaveLocation={where}/state",
            "SwitchType=switch/none",
            "MpiDefault=none",
            "MailProg=/bin/true",
            "ReturnToService=2",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_CPU_Memory",
            "SlurmdParameters=config_overrides",
            "DefMemPerCPU=200",
            "SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0,"
            "bf_interval=2,bf_max_job_test=5000,default_queue_depth=5000",
            f"MaxArraySize={options.max_array}",
            f"MinJobAge={options.min_job_age}",
            "KillWait=3",
            "CompleteWait=0",
            "SlurmctldTimeout=30",
            "SlurmdTimeout=10",
            "JobAcctGatherType=jobacct_gather/linux",
            "JobAcctGatherFrequency=task=1",
            # Where the submitter's environment is not exported Slurm asks a login shell for the
            # user's own, for each job anew; whatever that does here, the tests do without.
            "GetEnvTimeout=0",
        ]
        if options.cgroup:
            lines += ["ProctrackType=proctrack/cgroup", "TaskPlugin=task/cgroup"]
        else:
            lines += [
                "ProctrackType=proctrack/linuxproc",
                "TaskPlugin=task/none",
                "JobAcctGatherParams=OverMemoryKill",
            ]
        if options.accounting:
            lines += [
                "AccountingStorageType=accounting_storage/slurmdbd",
                "AccountingStorageHost=127.0.0.1",
                f"AccountingStoragePort={ports['accounting']}",
                f"AccountingStoragePass={where}/run/munge.socket",
                "AccountingStorageEnforce=associations,limits,qos",
            ]
        else:
            lines.append("AccountingStorageType=accounting_storage/none")
        gres = f" Gres=gpu:{options.gpus}" if options.gpus else ""
        if options.gpus:
            lines.append("GresTypes=gpu")
        lines += [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[node]} "
            f"CPUs={options.cpus} RealMemory={options.memory}{gres}"
            for node in self.nodes()
        ]
        nodes = ",".join(self.nodes())
        lines += [
            f"PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE DefaultTime=60",
            f"PartitionName=short Nodes={nodes} MaxTime=1 DefaultTime=1",
            f"PartitionName=small Nodes={nodes} MaxMemPerNode=500",
            f"PartitionName=closed Nodes={nodes} State=DOWN",
        ]
        return "\n".join(lines) + "\n"

    def _slurmdbd_conf(self) -> str:
        where, ports = self.directory, self._ports()
        lines = [
            "AuthType=auth/munge",
            f"AuthInfo=socket={where}/run/munge.socket",
            f"DbdHost={socket.gethostname().partition('.')[0]}",
            "DbdAddr=127.0.0.1",
            f"DbdPort={ports['accounting']}",
            "SlurmUser=root",
            f"PidFile={where}/run/slurmdbd.pid",
            f"LogFile={where}/log/slurmdbd.log",
            "StorageType=accounting_storage/mysql",
            "StorageHost=127.0.0.1",
            f"StoragePort={ports['database']}",
            "StorageUser=slurm",
            "StoragePass=slurm",
            "StorageLoc=slurm_acct_db",
        ]
        return "\n".join(lines) + "\n"


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Wait for other tests of this machine that do the same, and let them wait."""
    with Path("/tmp/reflow-live.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cgroup_is_possible() -> bool:
    """Whether this machine has the memory controller of cgroup v1 mounted."""
    return (CGROUP_MEMORY / "memory.limit_in_bytes").exists()


def _remove_cgroups(nodes: list[str]) -> None:
    """Remove the empty groups that Slurm leaves behind."""
    for controller in Path("/sys/fs/cgroup").glob("*"):
        for node in nodes:
            root = controller / f"slurm_{node}"
            for folder, _, _ in os.walk(root, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()


def main() -> None:
    """Start and stop a cluster by hand."""
    parser = argparse.ArgumentParser(description="A real Slurm for tests.")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("install")
    start = actions.add_parser("start")
    stop = actions.add_parser("stop")
    for action in (start, stop):
        action.add_argument("directory", type=Path)
    start.add_argument("--no-accounting", dest="accounting", action="store_false")
    start.add_argument("--cgroup", action="store_true")
    for name, default in (
        ("nodes", Options.nodes),
        ("cpus", Options.cpus),
        ("memory", Options.memory),
        ("gpus", Options.gpus),
        ("max-array", Options.max_array),
        ("min-job-age", Options.min_job_age),
    ):
        start.add_argument(f"--{name}", type=int, default=default)
    stop.add_argument("--remove", action="store_true", help="also remove the folder")
    given = vars(parser.parse_args())
    action = given.pop("action")
    if action == "install":
        install_packages([*PACKAGES, *ACCOUNTING_PACKAGES])
        return
    directory = given.pop("directory").resolve()
    if action == "start":
        install_packages([*PACKAGES, *(ACCOUNTING_PACKAGES if given["accounting"] else ())])
        cluster = SlurmCluster(directory, Options(**given))
        cluster.start()
        print(f"export SLURM_CONF={cluster.conf}")
        return
    SlurmCluster(directory).stop()
    if given["remove"]:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
