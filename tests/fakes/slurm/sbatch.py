"""The fake `sbatch`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Later, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Layers, Parsed, getopt_long, options
from reflow.testing.fakes.model import Request, Share

from tests.fakes.slurm import dependencies, indices, times
from tests.fakes.slurm.jobs import SlurmJob, exit_code_of

if TYPE_CHECKING:
    from tests.fakes.slurm.emulator import SlurmEmulator

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
class GivenOptions(Layers):
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

    def __init__(self, emulator: SlurmEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Submit a script."""
        line = self._parse(call.arguments)
        if line.has("version"):
            return Reply("slurm-wlm 22.05.8\n")
        if line.has("help", "usage"):
            return Reply(
                "Usage: sbatch [OPTIONS(0)...] [ : [OPTIONS(N)...]] script(0) [args(0)...]\n"
            )
        given = self._given(call, line)
        job = self._job(call, given)
        if given.has("test-only"):
            return self._would_start(job)
        self._emulator.engine.submit(job)
        said = str(job.number) if given.has("parsable") else f"Submitted batch job {job.number}"
        if given.has("wait"):
            return Later(lambda: self._exit_of(job), Reply(said + "\n"))
        return Reply(said + "\n")

    def _exit_of(self, job: SlurmJob) -> Reply | None:
        if not job.is_over:
            return None
        codes = [exit_code_of(task.run, task.why) for task in job.present]
        return Reply(code=max([code or signal for code, signal in codes], default=1))

    def _would_start(self, job: SlurmJob) -> Reply:
        when = times.write_moment(self._emulator.engine.now())
        cpus = job.request.share.cpus * job.request.nodes
        return Reply(
            stderr=f"sbatch: Job {job.number} to start at {when} using {cpus} processors on nodes "
            f"node01 in partition {job.queue}\n"
        )

    # Reading the options

    def _parse(self, words: list[str]) -> Parsed:
        try:
            return getopt_long(words, OPTIONS, stop_at_operand=True)
        except BadOptionError as error:
            raise Refusal(
                f'sbatch: {error}\nTry "sbatch --help" for more information', 255
            ) from None

    def _given(self, call: Call, line: Parsed) -> GivenOptions:
        if line.has("wrap"):
            if line.operands:
                raise Refusal(
                    "sbatch: error: Script arguments not permitted with --wrap option", 255
                )
            script = b"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n"
            script += line.last("wrap").encode("utf-8", "surrogateescape") + b"\n"
            return GivenOptions([line, _environment_layer(call.environment)], script)
        script = self._script(call, line.operands)
        layers = [line, _environment_layer(call.environment), self._directives(script)]
        command = str(call.directory / line.operands[0]) if line.operands else ""
        return GivenOptions(layers, script, command, line.operands[1:])

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

    def _job(self, call: Call, given: GivenOptions) -> SlurmJob:
        emulator, settings = self._emulator, self._emulator.settings
        limit = self._time_limit(given)
        mem_per_node, mem_per_cpu = self._memory(given)
        indices_given = self._array(given)
        partition = self._partition(given)
        account, qos = self._account(given, len(indices_given[0]) if indices_given else 1)
        request = self._request(given, partition, limit, mem_per_node, mem_per_cpu)
        self._check_the_rest(given)
        dependency = self._dependency(given)
        name = self._name(given)
        begin = self._begin(given)
        number = emulator.next_number()
        return SlurmJob(
            number=number,
            name=name,
            user=call.user,
            uid=call.uid,
            submitted=emulator.engine.now(),
            request=request,
            queue=partition,
            priority=0 if given.has("hold") else 4294901760 - number,
            indices=tuple(indices_given[0]) if indices_given else (None,),
            throttle=indices_given[1] if indices_given else None,
            holds={"user"} if given.has("hold") else set(),
            begin=begin,
            requeues=_requeues(given),
            account=account,
            qos=qos,
            comment=given.last("comment"),
            script=emulator.spool(f"job{number:05d}", given.script),
            command=given.command,
            arguments=tuple(given.arguments),
            environment=emulator.job_environment(call.environment, given.last("export", "ALL")),
            directory=call.directory / given.last("chdir", "."),
            submit_directory=call.directory,
            stdin=given.last("input", "/dev/null"),
            stdout=given.last("output"),
            stderr=given.last("error"),
            append=given.last("open-mode").startswith("a"),
            umask=call.umask,
            ntasks=given.count("ntasks"),
            cpus_per_task=given.count("cpus-per-task"),
            mem_per_node=mem_per_node,
            mem_per_cpu=mem_per_cpu or settings.default_mem_per_cpu,
            nodelist=request.on_nodes,
            excluded=request.not_on_nodes,
            dependency=dependency,
            kill_on_invalid_dependency=given.last("kill-on-invalid-dep") == "yes",
            features=given.last("constraint"),
        )

    def _time_limit(self, given: GivenOptions) -> float | None:
        valid, limit = times.parse_limit(given.last("time")) if given.has("time") else (True, 0.0)
        if not valid:
            raise bad_value("time")
        if given.has("time-min"):
            valid, least = times.parse_limit(given.last("time-min"))
            if not valid:
                raise bad_value("time-min")
            if given.has("time") and limit is not None and (least is None or least > limit):
                raise refused("Invalid time-min specification (exceeds job's time or other limits)")
        return limit

    def _memory(self, given: GivenOptions) -> tuple[int | None, int | None]:
        """`--mem` and `--mem-per-cpu`, in MB."""
        if given.has("mem") and given.has("mem-per-cpu"):
            raise Refusal(
                "sbatch: fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive."
            )
        found: list[int | None] = []
        for option in ("mem", "mem-per-cpu"):
            size = _megabytes(given.last(option)) if given.has(option) else None
            if given.has(option) and size is None:
                raise bad_value(option)
            found.append(size)
        if found[0] == 0:
            found[0] = self._emulator.settings.memory_per_node // MB
        return found[0], found[1]

    def _array(self, given: GivenOptions) -> tuple[list[int], int | None] | None:
        if not given.has("array"):
            return None
        array = indices.parse_array(given.last("array"), self._emulator.settings.max_array_size - 1)
        if array is None:
            raise refused("Invalid job array specification")
        return array

    def _partition(self, given: GivenOptions) -> str:
        partitions = self._emulator.settings.partitions
        name = given.last("partition", next(iter(partitions)))
        if name not in partitions:
            raise refused(
                "Invalid partition name specified", f"invalid partition specified: {name}"
            )
        return name

    def _account(self, given: GivenOptions, size: int) -> tuple[str, str]:
        settings = self._emulator.settings
        account = given.last("account")
        qos = given.last("qos")
        if not settings.accounting:
            return account or "(null)", "(null)"
        if (account or settings.accounts[0]) not in settings.accounts:
            raise refused("Invalid account or account/partition combination specified")
        if (qos or "normal") not in settings.qos:
            raise refused("Invalid qos specification")
        limit = settings.qos.get(qos or "normal", {}).get("max_submit")
        if limit is not None and self._emulator.queued(qos or "normal") + size > limit:
            raise refused(_LIMIT_TEXT, "QOSMaxSubmitJobPerUserLimit")
        limit = settings.max_submit_jobs
        if limit is not None and self._emulator.queued() + size > limit:
            raise refused(_LIMIT_TEXT, "AssocMaxSubmitJobLimit")
        return account or settings.accounts[0], qos or "normal"

    def _request(
        self,
        given: GivenOptions,
        partition: str,
        limit: float | None,
        mem_per_node: int | None,
        mem_per_cpu: int | None,
    ) -> Request:
        settings = self._emulator.settings
        nodes = _least_nodes(given)
        per_node = -(-(given.count("ntasks") or nodes) // nodes)
        if given.has("ntasks-per-node"):
            per_node = max(per_node, given.count("ntasks-per-node") or 1)
        cpus = per_node * (given.count("cpus-per-task") or 1)
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
            on_nodes=self._node_names(given, "nodelist"),
            not_on_nodes=self._node_names(given, "exclude"),
        )

    def _node_names(self, given: GivenOptions, option: str) -> tuple[str, ...]:
        names = _expand_nodes(given.last(option)) if given.has(option) else ()
        there_are = {node.name for node in self._emulator.engine.nodes}
        if not there_are.issuperset(names):
            raise refused("Invalid node name specified")
        return names

    def _check_the_rest(self, given: GivenOptions) -> None:
        settings = self._emulator.settings
        if given.has("constraint") and given.last("constraint") not in settings.features:
            raise refused("Invalid feature specification")
        for option in ("gres", "gpus", "gpus-per-node", "gpus-per-task"):
            if not given.has(option):
                continue
            kind = given.last(option).split(":")[0] if option == "gres" else "gpu"
            if kind not in settings.gres:
                raise Refusal("sbatch: error: Invalid generic resource (gres) specification")
        if given.has("reservation"):
            raise refused("Requested reservation is invalid")
        if given.has("licenses"):
            raise refused("Invalid license specification")
        if given.has("clusters") and given.last("clusters") != settings.cluster:
            name = given.last("clusters")
            first = f"No cluster '{name}' known by database."
            if not settings.accounting:
                first = "Problem talking to database"
            raise Refusal(
                f"sbatch: error: {first}\n"
                f"sbatch: error: '{name}' can't be reached now, or it is an invalid entry for "
                "--cluster.  Use 'sacctmgr list clusters' to see available clusters."
            )

    def _dependency(self, given: GivenOptions) -> dependencies.Dependency | None:
        if not given.has("dependency"):
            return None
        found = dependencies.parse(given.last("dependency"), self._emulator.known_job)
        if found is None:
            raise refused("Job dependency problem")
        return found

    def _name(self, given: GivenOptions) -> str:
        default = "wrap" if given.has("wrap") else Path(given.command).name or "sbatch"
        name = given.last("job-name", default)
        if len(name) > MAX_TEXT or len(given.last("comment")) > MAX_TEXT:
            raise refused("Pathname of a file, directory or other parameter too long")
        return name

    def _begin(self, given: GivenOptions) -> float:
        if not given.has("begin"):
            return 0.0
        begin = times.parse_moment(given.last("begin"), self._emulator.engine.now())
        if begin is None:
            raise Refusal(
                f"sbatch: error: Invalid time specification (pos=0): {given.last('begin')}\n"
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


def _requeues(given: GivenOptions) -> bool:
    for layer in given.layers:
        if layer.has("requeue", "no-requeue"):
            return [name for name, _ in layer.options if name.endswith("requeue")][-1] == "requeue"
    return True


def _megabytes(text: str) -> int | None:
    match = re.fullmatch(r"(\d+)([kmgtKMGT]?)[bB]?", text)
    if match is None:
        return None
    factor = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}[match[2].upper()]
    return max(-int(-int(match[1]) * factor // 1), 1) if int(match[1]) else 0


def _least_nodes(given: GivenOptions) -> int:
    if not given.has("nodes"):
        return 1
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", given.last("nodes"))
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
