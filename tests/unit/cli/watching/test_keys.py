from __future__ import annotations

import pytest
from reflow.cli.watching.keys import decode


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ["q"]),
        (b"\x1b[A\x1b[B", ["up", "down"]),
        (b"\x1bOA", ["up"]),
        (b"\x1b[5~\x1b[6~", ["pageup", "pagedown"]),
        (b"\x1b[H\x1b[F\x1b[1~\x1b[4~", ["home", "end", "home", "end"]),
        (b"\r\n\x7f", ["enter", "enter", "backspace"]),
        (b"\x1b\x1b[B", ["esc", "down"]),
        (b"\x1bx", ["esc", "x"]),
        (b"\x1b[1;5C\x1b[200~j", ["j"]),
        ("ü→k".encode(), ["k"]),
        (b"\x00\x01", []),
    ],
)
def test_bytes_are_keys(data: bytes, keys: list[str]) -> None:
    assert decode(data) == (keys, b"")


@pytest.mark.parametrize("data", [b"\x1b", b"\x1b[", b"\x1b[5", b"\x1bO"])
def test_a_key_may_come_in_parts(data: bytes) -> None:
    assert decode(b"j" + data) == (["j"], data)


def test_an_escape_that_nothing_follows_is_the_key_esc() -> None:
    assert decode(b"\x1b", is_all=True) == (["esc"], b"")
