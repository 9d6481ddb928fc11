"""The process of a fake scheduler: it answers commands and runs the jobs.

`python -m reflow.testing.fakes.supervisor EMULATOR FOLDER SETTINGS` serves until its standard input
is closed, then kills every process that was started below it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reflow.testing.fakes import processes
from reflow.testing.fakes.controls import Controls
from reflow.testing.fakes.emulator import (
    Answer,
    Call,
    Emulator,
    NeedStdin,
    Refusal,
    Reply,
    change_settings,
    make_nodes,
)
from reflow.testing.fakes.engine import Engine
from reflow.testing.fakes.faults import Faults

CONTROL = "control"
"""The name of the command by which `FakeScheduler` itself calls."""

INTERNAL_ERROR = 70
"""What a command exits with when the fake itself has a defect; its log has the traceback."""

_TAIL = 8
"""How many lines of a traceback the caller is shown."""

_CLIENT = Path(__file__).with_name("client.py")


@dataclass
class Finished:
    """A call that was answered, for tests that count calls."""

    name: str
    arguments: list[str]
    code: int | None
    seconds: float
    began: float


class Connection:
    """One caller: collects its request, sends frames back without ever blocking."""

    def __init__(self, link: socket.socket, selector: selectors.BaseSelector) -> None:
        link.setblocking(False)
        self._link = link
        self._selector = selector
        self._received = b""
        self._to_send = b""
        self._closing = False
        self.closed = False
        selector.register(link, selectors.EVENT_READ, self)

    def message(self) -> bytes | None:
        """Read what has arrived; return one whole message, or None while there is none."""
        try:
            part = self._link.recv(1 << 20)
        except BlockingIOError:
            return None
        except OSError:
            part = b""
        if not part:
            self.close()
            return None
        self._received += part
        if len(self._received) < 10:
            return None
        size = int(self._received[:10])
        if len(self._received) < 10 + size:
            return None
        message = self._received[10 : 10 + size]
        self._received = self._received[10 + size :]
        return message

    def send(self, kind: bytes, payload: bytes) -> None:
        """Send a frame: `o` for output, `e` for errors, `i` to ask for input, `x` to exit."""
        if not self.closed and (payload or kind in b"ix"):
            self._to_send += kind + b"%10d" % len(payload) + payload
            self.flush()

    def flush(self) -> None:
        """Send as much as the other side takes now."""
        if self.closed:
            return
        try:
            self._to_send = self._to_send[self._link.send(self._to_send) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self._to_send:
            self._selector.modify(self._link, selectors.EVENT_READ | selectors.EVENT_WRITE, self)
        elif self._closing:
            self.close()
        else:
            self._selector.modify(self._link, selectors.EVENT_READ, self)

    def close_when_sent(self) -> None:
        """Close once everything is sent."""
        self._closing = True
        self.flush()

    def close(self) -> None:
        """Close now."""
        if not self.closed:
            self.closed = True
            self._selector.unregister(self._link)
            self._link.close()


@dataclass
class Pending:
    """A call whose answer has to wait."""

    connection: Connection
    call: Call
    poll: Callable[[], Reply | None]
    began: float
    chatter: str = ""
    every: float = 5.0
    next_chatter: float = 0.0


class Supervisor:
    """The event loop: callers, children, timers."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.emulator = emulator
        self.engine = emulator.engine
        self.faults = Faults()
        self.finished: list[Finished] = []
        self._controls = Controls(self)
        self._selector = selectors.DefaultSelector()
        self._calls: dict[Connection, tuple[Call, float]] = {}
        self._pending: list[Pending] = []
        self._running = True
        self._listen(folder)
        self._watch_children()

    def _listen(self, folder: Path) -> None:
        path = folder / "socket"
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen(256)
        self._server.setblocking(False)
        self._selector.register(self._server, selectors.EVENT_READ, "server")
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, "parent")

    def _watch_children(self) -> None:
        self._woken, waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._woken, selectors.EVENT_READ, "children")

    def serve(self) -> None:
        """Serve until the parent goes away."""
        while self._running:
            for key, mask in self._selector.select(self._sleep_seconds()):
                self._handle(key.data, mask)
            self.engine.run_timers()
            self.engine.schedule_if_wanted()
            self._answer_pending()

    def _sleep_seconds(self) -> float:
        soon = self.engine.seconds_to_next_timer()
        now = time.monotonic()
        for pending in self._pending:
            if pending.chatter:
                soon = min(soon, max(pending.next_chatter - now, 0.0))
        return min(soon, max(self.faults.next_moment() - now, 0.0))

    def _handle(self, what: object, mask: int) -> None:
        if what == "server":
            self._accept()
        elif what == "children":
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
            self.engine.children_ended()
        elif what == "parent":
            if not os.read(sys.stdin.fileno(), 4096):
                self._running = False
        elif isinstance(what, Connection):
            if mask & selectors.EVENT_WRITE:
                what.flush()
            if mask & selectors.EVENT_READ and not what.closed:
                self._read(what)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                link, _ = self._server.accept()
                Connection(link, self._selector)

    def _read(self, connection: Connection) -> None:
        message = connection.message()
        if connection.closed:
            self._hung_up(connection)
        elif message is not None and connection in self._calls:
            call, began = self._calls[connection]
            call.given_stdin = message
            self._serve_call(connection, call, began)
        elif message is not None:
            call = _parse_call(message)
            began = time.monotonic()
            self._calls[connection] = (call, began)
            self._serve_call(connection, call, began)

    def _hung_up(self, connection: Connection) -> None:
        call, began = self._calls.pop(connection, (None, 0.0))
        if call is not None:
            self._note(call, None, began)
        self._pending = [one for one in self._pending if one.connection is not connection]

    def _serve_call(self, connection: Connection, call: Call, began: float) -> None:
        try:
            answer = self._answer(call)
        except NeedStdin:
            connection.send(b"i", b"")
            return
        if isinstance(answer, Reply):
            self._reply(connection, call, answer, began)
            return
        self._print(connection, answer.first)
        every = answer.every
        self._pending.append(
            Pending(connection, call, answer.poll, began, answer.chatter, every, time.monotonic())
        )

    def _answer(self, call: Call) -> Answer:
        if call.name == CONTROL:
            return self._controls.answer(call)
        return self.faults.wrap(call, self._run_command, self.emulator.lost_answer)

    def _run_command(self, call: Call) -> Answer:
        if self.emulator.is_down:
            answer = self.emulator.answer_when_down(call)
            if answer is not None:
                return answer
        try:
            return self.emulator.commands[call.name](call)
        except Refusal as refusal:
            return refusal.reply
        except NeedStdin:
            raise
        except Exception:
            # A defect of the fake: say so to the caller, and keep the rest of the test alive.
            traceback.print_exc()
            tail = "".join(traceback.format_exc().splitlines(keepends=True)[-_TAIL:])
            return Reply(stderr=f"the fake {call.name} has a defect:\n{tail}", code=INTERNAL_ERROR)
        finally:
            self.engine.run_timers()
            self.engine.schedule_if_wanted()

    def _reply(self, connection: Connection, call: Call, reply: Reply, began: float) -> None:
        self._print(connection, reply)
        if reply.killed:
            connection.close_when_sent()
        else:
            connection.send(b"x", b"%d" % reply.code)
            connection.close_when_sent()
        self._calls.pop(connection, None)
        self._note(call, None if reply.killed else reply.code, began)

    def _print(self, connection: Connection, reply: Reply) -> None:
        connection.send(b"o", reply.stdout.encode("utf-8", "surrogateescape"))
        connection.send(b"e", reply.stderr.encode("utf-8", "surrogateescape"))

    def _note(self, call: Call, code: int | None, began: float) -> None:
        if call.name != CONTROL:
            seconds = time.monotonic() - began
            self.finished.append(Finished(call.name, call.arguments, code, seconds, began))

    def _answer_pending(self) -> None:
        waiting, self._pending = self._pending, []
        now = time.monotonic()
        for pending in waiting:
            reply = pending.poll()
            if reply is not None:
                self._reply(pending.connection, pending.call, reply, pending.began)
                continue
            if pending.chatter and pending.next_chatter <= now:
                self._print(pending.connection, Reply(stderr=pending.chatter))
                pending.next_chatter = now + pending.every
            self._pending.append(pending)


def _parse_call(message: bytes) -> Call:
    words = [part.decode("utf-8", "surrogateescape") for part in message.split(b"\0")]
    name, directory, umask, uid, count = words[:5]
    arguments = words[6 : 5 + int(count)]
    environment = dict(pair.split("=", 1) for pair in words[5 + int(count) :] if "=" in pair)
    return Call(name, arguments, Path(directory), environment, int(umask), int(uid))


def load_emulator(target: str) -> type[Emulator]:
    """Import an emulator by `module:Class`."""
    module, _, name = target.partition(":")
    loaded: Any = getattr(importlib.import_module(module), name)
    return loaded  # type: ignore[no-any-return]


def install_commands(emulator: Emulator, folder: Path) -> None:
    """Write the shim and link every command's name to it."""
    text = _CLIENT.read_text().replace("@SOCKET@", str(folder / "socket"))
    shim = folder / "client"
    shim.write_text(f"#!{sys.executable} -IS\n{text}")
    shim.chmod(0o755)
    commands = folder / "bin"
    commands.mkdir()
    for name in emulator.commands:
        (commands / name).symlink_to(shim)


def main() -> None:
    """Serve one fake scheduler."""
    target, place, changes, import_path = sys.argv[1:]
    folder = Path(place)
    # An emulator may be a module of the tests.
    sys.path += [entry for entry in json.loads(import_path) if entry not in sys.path]
    processes.adopt_orphans()
    emulator_class = load_emulator(target)
    settings = emulator_class.settings_class()
    change_settings(settings, json.loads(changes))
    engine = Engine(make_nodes(settings))
    emulator = emulator_class(engine, folder, settings)
    install_commands(emulator, folder)
    supervisor = Supervisor(emulator, folder)
    # A Ctrl-C is for the tests, which then close the fake. Not SIG_IGN: jobs would inherit that.
    signal.signal(signal.SIGINT, lambda *_: None)
    sys.stdout.write(json.dumps({"variables": emulator.variables()}) + "\n")
    sys.stdout.flush()
    try:
        supervisor.serve()
    finally:
        processes.kill_everything_below(os.getpid())


if __name__ == "__main__":
    main()
