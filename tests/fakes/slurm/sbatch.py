"""The fake `sbatch`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from reflow.testing.fakes.face import Answer, Call, Later, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Layers, Parsed, getopt_long, options
from reflow.testing.fakes.model import Request, Share

from tests.fakes.slurm import dependencies, indices, times
from tests.fakes.slurm.jobs import SlurmJob, exit_code_of

if TYPE_CHECKING:
    from tests.fakes.slurm.face import SlurmFace

MAX_SCRIPT = 4 * 2**20
MAX_TEXT = 1024
MB = 2**20

OPTIONS = options(
    """
    A/account= acctg-freq= a/array= batch= bb= bbf= b/begin= D/chdir= cluster-constraint=
    M/clusters= comment= C/constraint= container= contiguous S/core-spec= cores-per-socket=
    cpu-freq= cpus-per-gpu= c/cpus-per-task= deadline= delay-boot= d/dependency= m/distribution=
    e/error= x/exclude= exclusive[=] export= export-file= B/extra-node-info= get-user-env[=] gid=
    gpu-bind= gpu-freq= G/gpus= gpus-per-node= gpus-per-socket= gpus-per-task= gres= gres-flags=
    h/help hint= H/hold ignore-pbs i/input= J/job-name= kill-on-invalid-dep= L/licenses=
    mail-type= mail-user= mcs-label= mem= mem-bind= mem-per-cpu= mem-per-gpu= mincpus= network=
    nice[=] k/no-kill no-requeue F/nodefile= w/nodelist= N/nodes= n/ntasks= ntasks-per-core=
    ntasks-per-gpu= ntasks-per-node= ntasks-per-socket= open-mode= o/output= O/overcommit
    s/oversubscribe parsable p/partition= power= prefer= priority= profile= propagate[=] q/qos=
    Q/quiet reboot requeue reservation= signal= sockets-per-node= spread-job switches= test-only
    thread-spec= threads-per-core= t/time= time-min= tmp= uid= usage use-min-nodes v/verbose
    V/version W/wait wait-all-nodes= wckey= wrap=
    """
)
_FROM_ENVIRONMENT = {
    "SBATCH_ACCOUNT": "account",
    "SBATCH_ARRAY_INX": "array",
    "SBATCH_CLUSTERS": "clusters",
    "SBATCH_CONSTRAINT": "constraint",
    "SBATCH_EXCLUSIVE": "exclusive",
    "SBATCH_EXPORT": "export",
    "SBATCH_GPUS": "gpus",
    "SBATCH_GRES": "gres",
    "SBATCH_JOB_NAME": "job-name",
    "SBATCH_MEM_PER_CPU": "mem-per-cpu",
    "SBATCH_MEM_PER_NODE": "mem",
    "SBATCH_NO_REQUEUE": "no-requeue",
    "SBATCH_OPEN_MODE": "open-mode",
    "SBATCH_PARTITION": "partition",
    "SBATCH_QOS": "qos",
    "SBATCH_REQUEUE": "requeue",
    "SBATCH_RESERVATION": "reservation",
    "SBATCH_SIGNAL": "signal",
    "SBATCH_TIMELIMIT": "time",
    "SBATCH_WAIT": "wait",
}
_WITHOUT_VALUE = {option.name for option in OPTIONS if option.takes.value == 0}
_LIMIT_TEXT = (
    "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
)


def refused(why: str, *before: str) -> Refusal:
    """Refuse as slurmctld does."""
    lines = [f"sbatch: error: {line}" for line in before]
    return Refusal("\n".join([*lines, f"sbatch: error: Batch job submission failed: {why}"]))


def bad_value(option: str) -> Refusal:
    """Refuse a value that sbatch itself cannot read."""
    return Refusal(f"sbatch: error: Invalid --{option} specification", 255)


@dataclass
class Wish(Layers):
    """The options in force: the command line's over the environment's over the script's."""

    script: bytes
    command: str = ""
    arguments: list[str] = field(default_factory=list)

    def count(self, name: str, option: str | None = None) -> int | None:
        """A positive number, None where the option is absent."""
        text = self.last(name)
        if not text and not self.has(name):
            return None
        if not text.isdigit() or int(text) < 1:
            raise Refusal(
                f'sbatch: error: Invalid numeric value "{text}" for --{option or name}.', 255
            )
        return int(text)


class Sbatch:
    """The command."""

    def __init__(self, face: SlurmFace) -> None:
        self._face = face

    def __call__(self, call: Call) -> Answer:
        """Submit a script."""
        line = self._parse(call.arguments)
        if line.has("version"):
            return Reply("slurm-wlm 22.05.8\n")
        if line.has("help", "usage"):
            return Reply(
                "Usage: sbatch [OPTIONS(0)...] [ : [OPTIONS(N)...]] script(0) [args(0)...]\n"
            )
        wish = self._wish(call, line)
        job = self._job(call, wish)
        if wish.has("test-only"):
            return self._would_start(job)
        self._face.engine.submit(job)
        said = str(job.number) if wish.has("parsable") else f"Submitted batch job {job.number}"
        if wish.has("wait"):
            return Later(lambda: self._exit_of(job), Reply(said + "\n"))
        return Reply(said + "\n")

    def _exit_of(self, job: SlurmJob) -> Reply | None:
        if not job.is_over:
            return None
        codes = [exit_code_of(task.run, task.why) for task in job.present]
        return Reply(code=max([code or signal for code, signal in codes], default=1))

    def _would_start(self, job: SlurmJob) -> Reply:
        when = times.write_moment(self._face.engine.now())
        cpus = job.request.share.cpus * job.request.nodes
        return Reply(
            stderr=f"sbatch: Job {job.number} to start at {when} using {cpus} processors on nodes "
            f"node01 in partition {job.queue}\n"
        )

    # Reading the wish

    def _parse(self, words: list[str]) -> Parsed:
        try:
            return getopt_long(words, OPTIONS, stop_at_operand=True)
        except BadOptionError as error:
            raise Refusal(
                f'sbatch: {error}\nTry "sbatch --help" for more information', 255
            ) from None

    def _wish(self, call: Call, line: Parsed) -> Wish:
        if line.has("wrap"):
            if line.operands:
                raise Refusal(
                    "sbatch: error: Script arguments not permitted with --wrap option", 255
                )
            script = b"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n"
            script += line.last("wrap").encode("utf-8", "surrogateescape") + b"\n"
            return Wish([line, _environment_layer(call.environment)], script)
        script = self._script(call, line.operands)
        layers = [line, _environment_layer(call.environment), self._directives(script)]
        command = str(call.directory / line.operands[0]) if line.operands else ""
        return Wish(layers, script, command, line.operands[1:])

    def _script(self, call: Call, operands: list[str]) -> bytes:
        if operands:
            try:
                script = (call.directory / operands[0]).read_bytes()
            except OSError:
                raise Refusal(f"sbatch: error: Unable to open file {operands[0]}") from None
        else:
            script = call.stdin
        if not script:
            raise Refusal("sbatch: error: Batch script is empty!")
        if not script.startswith(b"#!"):
            raise Refusal(
                "sbatch: error: This does not look like a batch script.  The first\n"
                "sbatch: error: line must start with #! followed by the path to an interpreter.\n"
                "sbatch: error: For instance: #!/bin/sh"
            )
        if b"\r\n" in script:
            raise Refusal(
                "sbatch: error: Batch script contains DOS line breaks (\\r\\n)\n"
                "sbatch: error: instead of expected UNIX line breaks (\\n)."
            )
        if len(script) > MAX_SCRIPT:
            raise refused("Pathname of a file, directory or other parameter too long")
        return script

    def _directives(self, script: bytes) -> Parsed:
        """Read the `#SBATCH` lines before the first command."""
        words: list[str] = []
        for line in script.decode("utf-8", "surrogateescape").splitlines():
            if line.startswith("#SBATCH"):
                words += shlex.split(line[len("#SBATCH") :], comments=True)
            elif line.strip() and not line.lstrip().startswith("#"):
                break
        return self._parse(words)

    # Making the job

    def _job(self, call: Call, wish: Wish) -> SlurmJob:
        face, settings = self._face, self._face.settings
        limit = self._time_limit(wish)
        mem_per_node, mem_per_cpu = self._memory(wish)
        indices_given = self._array(wish)
        partition = self._partition(wish)
        account, qos = self._account(wish, len(indices_given[0]) if indices_given else 1)
        request = self._request(wish, partition, limit, mem_per_node, mem_per_cpu)
        self._check_the_rest(wish)
        dependency = self._dependency(wish)
        name = self._name(wish)
        begin = self._begin(wish)
        number = face.next_number()
        return SlurmJob(
            number=number,
            name=name,
            user=call.user,
            uid=call.uid,
            submitted=face.engine.now(),
            request=request,
            queue=partition,
            priority=0 if wish.has("hold") else 4294901760 - number,
            indices=tuple(indices_given[0]) if indices_given else (None,),
            throttle=indices_given[1] if indices_given else None,
            holds={"user"} if wish.has("hold") else set(),
            begin=begin,
            requeues=_requeues(wish),
            account=account,
            qos=qos,
            comment=wish.last("comment"),
            script=face.spool(f"job{number:05d}", wish.script),
            command=wish.command,
            arguments=tuple(wish.arguments),
            environment=face.job_environment(call.environment, wish.last("export", "ALL")),
            directory=call.directory / wish.last("chdir", "."),
            submit_directory=call.directory,
            stdin=wish.last("input", "/dev/null"),
            stdout=wish.last("output"),
            stderr=wish.last("error"),
            append=wish.last("open-mode").startswith("a"),
            umask=call.umask,
            ntasks=wish.count("ntasks"),
            cpus_per_task=wish.count("cpus-per-task"),
            mem_per_node=mem_per_node,
            mem_per_cpu=mem_per_cpu or settings.default_mem_per_cpu,
            min_nodes=request.nodes,
            nodelist=request.on_nodes,
            excluded=request.not_on_nodes,
            dependency=dependency,
            kill_on_invalid_dependency=wish.last("kill-on-invalid-dep") == "yes",
            features=wish.last("constraint"),
        )

    def _time_limit(self, wish: Wish) -> float | None:
        valid, limit = times.parse_limit(wish.last("time")) if wish.has("time") else (True, 0.0)
        if not valid:
            raise bad_value("time")
        if wish.has("time-min"):
            valid, least = times.parse_limit(wish.last("time-min"))
            if not valid:
                raise bad_value("time-min")
            if wish.has("time") and limit is not None and (least is None or least > limit):
                raise refused("Invalid time-min specification (exceeds job's time or other limits)")
        return limit

    def _memory(self, wish: Wish) -> tuple[int | None, int | None]:
        """`--mem` and `--mem-per-cpu`, in MB."""
        if wish.has("mem") and wish.has("mem-per-cpu"):
            raise Refusal(
                "sbatch: fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive."
            )
        found: list[int | None] = []
        for option in ("mem", "mem-per-cpu"):
            size = _megabytes(wish.last(option)) if wish.has(option) else None
            if wish.has(option) and size is None:
                raise bad_value(option)
            found.append(size)
        if found[0] == 0:
            found[0] = self._face.settings.memory_per_node // MB
        return found[0], found[1]

    def _array(self, wish: Wish) -> tuple[list[int], int | None] | None:
        if not wish.has("array"):
            return None
        array = indices.parse_array(wish.last("array"), self._face.settings.max_array_size - 1)
        if array is None:
            raise refused("Invalid job array specification")
        return array

    def _partition(self, wish: Wish) -> str:
        partitions = self._face.settings.partitions
        name = wish.last("partition", next(iter(partitions)))
        if name not in partitions:
            raise refused(
                "Invalid partition name specified", f"invalid partition specified: {name}"
            )
        return name

    def _account(self, wish: Wish, size: int) -> tuple[str, str]:
        settings = self._face.settings
        account = wish.last("account")
        qos = wish.last("qos")
        if not settings.accounting:
            return account or "(null)", "(null)"
        if (account or settings.accounts[0]) not in settings.accounts:
            raise refused("Invalid account or account/partition combination specified")
        if (qos or "normal") not in settings.qos:
            raise refused("Invalid qos specification")
        limit = settings.qos.get(qos or "normal", {}).get("max_submit")
        if limit is not None and self._face.queued(qos or "normal") + size > limit:
            raise refused(_LIMIT_TEXT, "QOSMaxSubmitJobPerUserLimit")
        limit = settings.max_submit_jobs
        if limit is not None and self._face.queued() + size > limit:
            raise refused(_LIMIT_TEXT, "AssocMaxSubmitJobLimit")
        return account or settings.accounts[0], qos or "normal"

    def _request(
        self,
        wish: Wish,
        partition: str,
        limit: float | None,
        mem_per_node: int | None,
        mem_per_cpu: int | None,
    ) -> Request:
        settings = self._face.settings
        nodes = _least_nodes(wish)
        per_node = -(-(wish.count("ntasks") or nodes) // nodes)
        if wish.has("ntasks-per-node"):
            per_node = max(per_node, wish.count("ntasks-per-node") or 1)
        cpus = per_node * (wish.count("cpus-per-task") or 1)
        memory = mem_per_node
        if memory is None:
            memory = (mem_per_cpu or settings.default_mem_per_cpu) * cpus
        if memory * MB > settings.memory_per_node:
            raise refused(
                "Requested node configuration is not available",
                "Memory specification can not be satisfied",
            )
        if limit == 0:
            minutes = settings.partitions[partition].get("default_minutes", 60)
            assert isinstance(minutes, int)
            limit = minutes * 60.0
        return Request(
            nodes=nodes,
            share=Share(cpus, memory * MB),
            walltime=limit,
            memory_limit=memory * MB * nodes,
            on_nodes=self._node_names(wish, "nodelist"),
            not_on_nodes=self._node_names(wish, "exclude"),
        )

    def _node_names(self, wish: Wish, option: str) -> tuple[str, ...]:
        names = _expand_nodes(wish.last(option)) if wish.has(option) else ()
        there_are = {node.name for node in self._face.engine.nodes}
        if not there_are.issuperset(names):
            raise refused("Invalid node name specified")
        return names

    def _check_the_rest(self, wish: Wish) -> None:
        settings = self._face.settings
        if wish.has("constraint") and wish.last("constraint") not in settings.features:
            raise refused("Invalid feature specification")
        for option in ("gres", "gpus", "gpus-per-node", "gpus-per-task"):
            if not wish.has(option):
                continue
            kind = wish.last(option).split(":")[0] if option == "gres" else "gpu"
            if kind not in settings.gres:
                raise Refusal("sbatch: error: Invalid generic resource (gres) specification")
        if wish.has("reservation"):
            raise refused("Requested reservation is invalid")
        if wish.has("licenses"):
            raise refused("Invalid license specification")
        if wish.has("clusters") and wish.last("clusters") != settings.cluster:
            name = wish.last("clusters")
            first = f"No cluster '{name}' known by database."
            if not settings.accounting:
                first = "Problem talking to database"
            raise Refusal(
                f"sbatch: error: {first}\n"
                f"sbatch: error: '{name}' can't be reached now, or it is an invalid entry for "
                "--cluster.  Use 'sacctmgr list clusters' to see available clusters."
            )

    def _dependency(self, wish: Wish) -> dependencies.Dependency | None:
        if not wish.has("dependency"):
            return None
        found = dependencies.parse(wish.last("dependency"), self._face.known_job)
        if found is None:
            raise refused("Job dependency problem")
        return found

    def _name(self, wish: Wish) -> str:
        default = "wrap" if wish.has("wrap") else Path(wish.command).name or "sbatch"
        name = wish.last("job-name", default)
        if len(name) > MAX_TEXT or len(wish.last("comment")) > MAX_TEXT:
            raise refused("Pathname of a file, directory or other parameter too long")
        return name

    def _begin(self, wish: Wish) -> float:
        if not wish.has("begin"):
            return 0.0
        begin = times.parse_moment(wish.last("begin"), self._face.engine.now())
        if begin is None:
            raise Refusal(
                f"sbatch: error: Invalid time specification (pos=0): {wish.last('begin')}\n"
                "sbatch: error: Invalid --begin specification",
                255,
            )
        return begin


def _environment_layer(environment: Mapping[str, str]) -> Parsed:
    found = [
        (option, "" if option in _WITHOUT_VALUE else environment[name])
        for name, option in _FROM_ENVIRONMENT.items()
        if name in environment
    ]
    return Parsed(found, [])


def _requeues(wish: Wish) -> bool:
    for layer in wish.layers:
        if layer.has("requeue", "no-requeue"):
            return [name for name, _ in layer.options if name.endswith("requeue")][-1] == "requeue"
    return True


def _megabytes(text: str) -> int | None:
    match = re.fullmatch(r"(\d+)([kmgtKMGT]?)[bB]?", text)
    if match is None:
        return None
    factor = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}[match[2].upper()]
    return max(-int(-int(match[1]) * factor // 1), 1) if int(match[1]) else 0


def _least_nodes(wish: Wish) -> int:
    if not wish.has("nodes"):
        return 1
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", wish.last("nodes"))
    if match is None or int(match[1]) < 1:
        raise Refusal("sbatch: error: invalid number of nodes (-N 0)", 255)
    return int(match[1])


def _expand_nodes(text: str) -> tuple[str, ...]:
    """Read `node01,node[03-05]`."""
    names: list[str] = []
    for match in re.finditer(r"([^,\[]+)(?:\[([^\]]*)\])?", text):
        stem, inside = match[1], match[2]
        if inside is None:
            names.append(stem)
            continue
        for part in inside.split(","):
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                names.append(f"{stem}{number:0{len(first)}d}")  # noqa: PERF401
    return tuple(names)
