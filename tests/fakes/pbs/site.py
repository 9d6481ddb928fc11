"""The fake `pbsnodes` and `qmgr` of OpenPBS, as far as programs ask them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply

from tests.fakes.pbs.jobs import SERVER, VERSION

if TYPE_CHECKING:
    from tests.fakes.pbs.emulator import PbsEmulator


class Pbsnodes:
    """The command."""

    def __init__(self, emulator: PbsEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Show the nodes."""
        if "--version" in call.arguments:
            return Reply(f"pbs_version = {VERSION}\n")
        text = ""
        for node in self._emulator.engine.nodes:
            state = "free" if node.up else "down"
            text += (
                f"{node.name}\n     Mom = {node.name}\n     ntype = PBS\n     state = {state}\n"
                f"     pcpus = {node.cpus}\n     resources_available.arch = linux\n"
                f"     resources_available.host = {node.name}\n"
                f"     resources_available.mem = {node.memory // 1024}kb\n"
                f"     resources_available.ncpus = {node.cpus}\n"
                f"     resources_assigned.ncpus = {node.used_cpus}\n\n"
            )
        return Reply(text)


class Qmgr:
    """The command: `print server`, `list server`."""

    def __init__(self, emulator: PbsEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Print the server's settings."""
        words = " ".join(call.arguments).removeprefix("-c ").split()
        if words[:2] not in (["print", "server"], ["p", "s"], ["list", "server"], ["l", "s"]):
            raise Refusal("qmgr: only 'print server' and 'list server' are known here", 2)
        settings = self._emulator.settings
        values = {
            "scheduling": True,
            "default_queue": next(iter(settings.queues)),
            "resources_default.ncpus": 1,
            "flatuid": True,
            "max_array_size": settings.max_array_size,
            "job_history_enable": settings.job_history,
        }
        if words[0].startswith("l"):
            lines = [
                f"Server {SERVER}",
                *(f"    {name} = {value}" for name, value in values.items()),
            ]
            return Reply("\n".join(lines) + "\n")
        text = "#\n# Create queues and set their attributes.\n#\n"
        for name, queue in settings.queues.items():
            text += (
                f"#\n# Create and define queue {name}\n#\ncreate queue {name}\n"
                f"set queue {name} queue_type = Execution\n"
                f"set queue {name} enabled = {queue.get('enabled', True)}\n"
                f"set queue {name} started = {queue.get('started', True)}\n"
            )
        text += "#\n# Set server attributes.\n#\n"
        return Reply(
            text + "".join(f"set server {name} = {value}\n" for name, value in values.items())
        )
