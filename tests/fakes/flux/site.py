"""The fake `flux queue`, `flux resource`, `flux version` and `flux uptime`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Later, Refusal, Reply
from reflow.testing.fakes.grammar import getopt_long, options
from reflow.testing.fakes.model import Phase

from tests.fakes.flux import durations

if TYPE_CHECKING:
    from tests.fakes.flux.emulator import FluxEmulator

OPTIONS = options("a/all q/queue= m/message= quiet v/verbose n/no-header o/format= nocheckpoint")
_YES = "\x1b[01;32m ✔\x1b[0;0m"


class Queue:
    """`flux queue`."""

    def __init__(self, emulator: FluxEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Show, stop, start, enable or disable queues."""
        line = getopt_long(call.arguments[1:], OPTIONS)
        verb = line.operands[0] if line.operands else ""
        emulator = self._emulator
        names = list(emulator.settings.queues) or [""]
        chosen = names[::-1] if line.has("all") or not line.has("queue") else [line.last("queue")]
        said = ""
        for name in chosen:
            if name not in names:
                raise Refusal(f"flux-queue: '{name}' is not a valid queue")
            prefix = f"{name}: " if name else ""
            if verb == "stop":
                emulator.stopped.add(name)
            elif verb == "start":
                emulator.stopped.discard(name)
                emulator.engine.want_schedule()
            elif verb == "disable":
                emulator.disabled[name] = line.last("message")
            elif verb == "enable":
                emulator.disabled.pop(name, None)
            elif verb in ("list", "status", "drain", "idle"):
                continue
            else:
                raise Refusal("usage: flux-queue [-h] COMMAND ARGS", 2)
            said += f"{prefix}{self._words(name, verb)}\n"
        if verb == "list":
            return Reply(self._list(names))
        if verb == "status":
            return Reply("Job submission is enabled\nScheduling is started\n")
        if verb in ("drain", "idle"):
            return Later(self._when_empty)
        return Reply("" if line.has("quiet") else said)

    def _when_empty(self) -> Reply | None:
        busy = any(job.task.phase is not Phase.OVER for job in self._emulator.known_jobs())
        return None if busy else Reply()

    def _words(self, name: str, verb: str) -> str:
        return {
            "stop": "Scheduling is stopped",
            "start": "Scheduling is started",
            "enable": "Job submission is enabled",
            "disable": f"Job submission is disabled: {self._emulator.disabled.get(name, '')}",
        }[verb]

    def _list(self, names: list[str]) -> str:
        settings = self._emulator.settings
        cores = sum(node.cpus for node in self._emulator.engine.nodes)
        nodes = len(self._emulator.engine.nodes)
        named = bool(settings.queues)
        text = (
            "QUEUE    " if named else " "
        ) + "EN ST TDEFAULT   TLIMIT     NNODES     NCORES      NGPUS\n"
        for number, name in enumerate(names):
            limits = settings.queues.get(name, {})
            limit = durations.write(limits["duration"]) if "duration" in limits else "inf"
            most = f"0-{int(limits.get('ncores', cores))}"
            label = f"{name + ('*' if number == 0 else ''):<8} " if named else " "
            default = durations.write(settings.default_duration)
            text += (
                f"{label}{_YES} {_YES} {default:>8} {limit:>8} {f'0-{nodes}':>10} {most:>10} "
                f"{'0-0':>10}\n"
            )
        return text


class Resource:
    """`flux resource list`."""

    def __init__(self, emulator: FluxEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Show the resources."""
        nodes = self._emulator.engine.nodes
        total = sum(node.cpus for node in nodes)
        used = sum(node.used_cpus for node in nodes)
        names = ",".join(node.name for node in nodes)
        busy = names if used else ""
        return Reply(
            "     STATE NNODES NCORES NGPUS NODELIST\n"
            f"      free {len(nodes):6d} {total - used:6d} {0:5d} {names}\n"
            f" allocated {int(bool(used)):6d} {used:6d} {0:5d} {busy}\n"
            f"      down {0:6d} {0:6d} {0:5d} \n"
        )


class Version:
    """`flux version`."""

    def __init__(self, emulator: FluxEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Name the versions."""
        return Reply(
            "commands:    \t\t0.88.0\nlibflux-core:\t\t0.88.0\nbroker:  \t\t0.88.0\n"
            f"FLUX_URI:\t\t{self._emulator.variables()['FLUX_URI']}\n"
            "build-options:\t\t+systemd+hwloc.api==2.8.0+zmq==4.3.4\n"
        )


class Uptime:
    """`flux uptime`."""

    def __init__(self, emulator: FluxEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Tell for how long it runs."""
        now = self._emulator.engine.now()
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        span = durations.write(now - self._emulator.began)
        size = len(self._emulator.engine.nodes)
        return Reply(f" {clock} run {span},  owner {call.user},  depth 0,  size {size}\n")
