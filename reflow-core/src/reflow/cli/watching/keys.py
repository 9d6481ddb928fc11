"""Keys, from the bytes that a terminal sends for them."""

from __future__ import annotations

import re

ESCAPE = b"\x1b"

_SEQUENCE = re.compile(rb"\x1b(?:\[[0-9;?<>=]*[ -/]*[@-~]|O[ -~])")
_BEGUN = re.compile(rb"\x1b(?:\[[0-9;?<>=]*[ -/]*|O)?")
_NAMED = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
    b"\x1b[1~": "home",
    b"\x1b[4~": "end",
    b"\x1b[7~": "home",
    b"\x1b[8~": "end",
    b"\x1b[5~": "pageup",
    b"\x1b[6~": "pagedown",
}
_CONTROLS = {
    b"\r": "enter",
    b"\n": "enter",
    b"\x7f": "backspace",
    b"\x08": "backspace",
    b"\x06": "pagedown",
    b"\x02": "pageup",
    b"\x0c": "redraw",
}


def decode(data: bytes, *, is_all: bool = False) -> tuple[list[str], bytes]:
    """Return the keys in some bytes, and the rest, which may be the beginning of a key.

    `is_all` tells that nothing follows: then an escape character is the key Esc. Keys that mean
    nothing here are left out.
    """
    keys, place = [], 0
    while place < len(data):
        if data[place : place + 1] == ESCAPE:
            found = _SEQUENCE.match(data, place)
            if found is not None:
                # Some terminals send `ESC O A` for `ESC [ A`.
                name = _NAMED.get(found[0].replace(b"\x1bO", b"\x1b["))
                keys += [name] if name else []
                place = found.end()
                continue
            begun = _BEGUN.match(data, place)
            if begun is not None and begun.end() == len(data) and not is_all:
                return keys, data[place:]
            keys.append("esc")
            place += 1
            continue
        byte = data[place : place + 1]
        if byte in _CONTROLS:
            keys.append(_CONTROLS[byte])
        elif b" " <= byte <= b"~":
            keys.append(byte.decode())
        place += 1
    return keys, b""
