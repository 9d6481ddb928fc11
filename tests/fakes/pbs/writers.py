"""How `qstat -f` prints attributes: as text, with `-F dsv` and with `-F json`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping

from tests.fakes.pbs.attributes import Attributes, Value
from tests.fakes.pbs.jobs import SERVER, VERSION

WIDTH = 79


def _flat(attributes: Attributes) -> Iterator[tuple[str, str]]:
    for name, value in attributes.items():
        if isinstance(value, dict) and name != "Variable_List":
            yield from ((f"{name}.{key}", one) for key, one in value.items())
        elif isinstance(value, dict):
            yield name, ",".join(f"{key}={one}" for key, one in value.items())
        else:
            yield name, str(value)


def text(jobs: Mapping[str, Attributes], *, wide: bool) -> str:
    """`qstat -f`."""
    found = ""
    for name, attributes in jobs.items():
        found += f"Job Id: {name}\n"
        for key, value in _flat(attributes):
            line = f"    {key} = {value}"
            found += (line if wide else _wrapped(line)) + "\n"
        found += "\n"
    return found


def _wrapped(line: str) -> str:
    """Break a long line at its commas, else where it is full."""
    lines = [""]
    for piece in re.findall(r"[^,]*,?", line):
        rest = piece
        if lines[-1] and len(lines[-1]) + len(rest) > WIDTH:
            lines.append("\t")
        while len(lines[-1]) + len(rest) > WIDTH:
            room = WIDTH - len(lines[-1])
            lines[-1] += rest[:room]
            lines.append("\t")
            rest = rest[room:]
        lines[-1] += rest
    return "\n".join(one for one in lines if one != "\t")


def dsv(jobs: Mapping[str, Attributes]) -> str:
    """`qstat -f -F dsv`."""
    return "".join(
        "|".join([f"Job Id: {name}", *(f"{key}={_escaped(one)}" for key, one in _flat(attributes))])
        + "\n"
        for name, attributes in jobs.items()
    )


def _escaped(value: str) -> str:
    """A delimiter has a backslash before it, and so has a backslash, save before `'`, `"`, `,`."""
    value = re.sub(r"\\(?!['\",])|\|", r"\\\g<0>", value)
    return value.replace("\n", "\\n").replace("\f", "\\f")


def master_json(jobs: Mapping[str, Attributes], now: float) -> str:
    """`qstat -f -F json` since the end of 2023."""
    return _object(_document(jobs, now), 0) + "\n"


def _document(jobs: Mapping[str, Attributes], now: float) -> dict[str, object]:
    document: dict[str, object] = {
        "timestamp": int(now),
        "pbs_version": VERSION,
        "pbs_server": SERVER,
    }
    if jobs:
        document["Jobs"] = {
            name: {key: _numbered(value) for key, value in attributes.items()}
            for name, attributes in jobs.items()
        }
    return document


def _numbered(value: Value) -> object:
    """Values that look like numbers become numbers, inside lists of values only."""
    if not isinstance(value, dict):
        return value
    return {key: _as_number(one) for key, one in value.items()}


def _as_number(text: str) -> object:
    try:
        number = float.fromhex(text) if text.lower().startswith("0x") else float(text)
    except ValueError:
        return text
    if text != text.strip() or "_" in text:
        return text
    if not math.isfinite(number):
        return None
    return int(number) if number == int(number) and abs(number) < 1e15 else number


def _object(value: Mapping[str, object], depth: int) -> str:
    lines = []
    for key, one in value.items():
        inside = _object(one, depth + 1) if isinstance(one, dict) else _plain(one)
        lines.append("\t" * (depth + 1) + f"{_plain(key)}:\t{inside}")
    return "{\n" + ",\n".join(lines) + "\n" + "\t" * depth + "}"


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


_BARE = re.compile(r"-?(0|[1-9]\d*)(\.\d*)?([eE][+-]?\d+)?|nan|inf")


def release_json(jobs: Mapping[str, Attributes], now: float) -> str:
    """`qstat -f -F json` of the release: what looks like a number is printed bare, valid or not."""
    return _release_object(_document_as_is(jobs, now), 0) + "\n"


def _document_as_is(jobs: Mapping[str, Attributes], now: float) -> dict[str, object]:
    document: dict[str, object] = {
        "timestamp": int(now),
        "pbs_version": VERSION,
        "pbs_server": SERVER,
    }
    if jobs:
        document["Jobs"] = dict(jobs)
    return document


def _release_object(value: Mapping[str, object], depth: int) -> str:
    lines = []
    for key, one in value.items():
        inside = _release_object(one, depth + 1) if isinstance(one, dict) else _release_plain(one)
        lines.append("    " * (depth + 1) + f'"{key}":{inside}')
    return "{\n" + ",\n".join(lines) + "\n" + "    " * depth + "}"


def _release_plain(value: object) -> str:
    text = str(value)
    if _BARE.fullmatch(text):
        return text
    # Bytes beyond ASCII come out as control characters.
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(one if ord(one) < 128 else chr(ord(one) & 0x1F) for one in quoted)
