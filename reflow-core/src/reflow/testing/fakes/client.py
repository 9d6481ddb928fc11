"""The program that stands for every command of a fake scheduler.

The supervisor writes this file's text, its two marked words filled in, once into the fake's
folder and links every command's name to it. It passes the call on to the supervisor and prints
its answer. It imports nothing but built-in modules, so that it starts in some 15 ms.
"""

import posix
import sys
from _signal import SIG_DFL, SIGINT, SIGPIPE, signal  # type: ignore[import-not-found]
from _socket import AF_UNIX, SOCK_STREAM, socket


def _receive(server: socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = server.recv(min(size - len(data), 1 << 20))
        if not part:
            # The supervisor is gone, or ended this call on purpose: die as a killed command does.
            posix.kill(posix.getpid(), 9)
        data += part
    return data


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[posix.write(descriptor, data) :]


def _read_all(descriptor: int) -> bytes:
    data = b""
    while part := posix.read(descriptor, 1 << 20):
        data += part
    return data


def _request() -> bytes:
    umask = posix.umask(0o022)
    posix.umask(umask)
    arguments = [word.encode("utf-8", "surrogateescape") for word in sys.argv]
    name = arguments[0].rpartition(b"/")[2]
    variables = [key + b"=" + value for key, value in posix.environ.items()]
    head = (name, posix.getcwdb(), b"%d" % umask, b"%d" % posix.getuid(), b"%d" % len(sys.argv))
    return b"\0".join((*head, *arguments, *variables))


def main() -> None:
    """Pass this call on, print the answer, and exit with its code."""
    signal(SIGINT, SIG_DFL)
    signal(SIGPIPE, SIG_DFL)
    server = socket(AF_UNIX, SOCK_STREAM)
    try:
        server.connect("@SOCKET@")
    except OSError:
        _write(2, b"the fake scheduler of this command is not running\n")
        posix._exit(99)
    request = _request()
    server.sendall(b"%10d" % len(request) + request)
    while True:
        kind = _receive(server, 1)
        payload = _receive(server, int(_receive(server, 10)))
        if kind == b"x":
            posix._exit(int(payload))
        elif kind == b"i":
            data = _read_all(0)
            server.sendall(b"%10d" % len(data) + data)
        else:
            _write(1 if kind == b"o" else 2, payload)


if __name__ == "__main__":
    main()
