"""The fake `pbsnodes` and `qmgr` of Torque, as far as programs ask them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reflow.testing.fakes.face import Answer, Call, Refusal, Reply
from reflow.testing.fakes.pbs.jobs import SERVER
from reflow.testing.fakes.torque.jobs import VERSION

if TYPE_CHECKING:
    from reflow.testing.fakes.torque.face import TorqueFace


class Pbsnodes:
    """The command."""

    def __init__(self, face: TorqueFace) -> None:
        self._face = face

    def __call__(self, call: Call) -> Answer:
        """Show the nodes."""
        text = ""
        for node in self._face.engine.nodes:
            state = "free" if node.up else "down"
            memory = node.memory // 1024
            text += (
                f"{node.name}\n     state = {state}\n     power_state = Running\n"
                f"     np = {node.cpus}\n     ntype = cluster\n"
                f"     status = opsys=linux,ncpus={node.cpus},totmem={memory}kb,"
                f"physmem={memory}kb,availmem={memory}kb,state={state}\n"
                "     mom_service_port = 15002\n     mom_manager_port = 15003\n\n"
            )
        return Reply(text)


class Qmgr:
    """The command: `print server`."""

    def __init__(self, face: TorqueFace) -> None:
        self._face = face

    def __call__(self, call: Call) -> Answer:
        """Print the server's settings."""
        if "--version" in call.arguments:
            return Reply(stderr=f"Version: {VERSION}\nCommit: \n")
        words = " ".join(call.arguments).removeprefix("-c ").split()
        if words[:2] not in (["print", "server"], ["p", "s"]):
            raise Refusal("qmgr: only 'print server' is known here", 2)
        settings = self._face.settings
        text = "#\n# Create queues and set their attributes.\n#\n"
        for name, queue in settings.queues.items():
            text += (
                f"#\n# Create and define queue {name}\n#\ncreate queue {name}\n"
                f"set queue {name} queue_type = Execution\n"
                f"set queue {name} enabled = {queue.get('enabled', True)}\n"
                f"set queue {name} started = {queue.get('started', True)}\n"
            )
        values: dict[str, object] = {
            "scheduling": True,
            "acl_hosts": SERVER,
            "default_queue": next(iter(settings.queues)),
            "keep_completed": int(settings.keep_completed),
            "max_user_queuable": settings.max_user_queuable,
            "max_slot_limit": settings.max_slot_limit,
        }
        text += "#\n# Set server attributes.\n#\n"
        return Reply(
            text
            + "".join(
                f"set server {name} = {value}\n"
                for name, value in values.items()
                if value is not None
            )
        )
