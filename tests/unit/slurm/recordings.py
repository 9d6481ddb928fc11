"""Recorded answers of squeue and sacct, with their fields in the order that the executor asks for.

The recordings were made with other `--format`s; each row is put together anew from the fields it
has, and from what a field that was not asked for would have held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECORDINGS = Path(__file__).parents[2] / "recordings" / "slurm"

_QUEUE_LETTERS = {
    "%A": "raw_id",
    "%F": "array_id",
    "%K": "index",
    "%i": "job_id",
    "%T": "state",
    "%r": "reason",
    "%N": "host",
}


@dataclass(frozen=True)
class Answer:
    """One recorded step."""

    scene: str
    command: str
    text: str
    """In the executor's own format."""
    rows: int
    """Lines of the recording."""

    @property
    def in_queue(self) -> bool:
        return self.command.partition(" ")[0].endswith("squeue") or "squeue" in self.command[:30]


def steps(scene: str) -> list[dict[str, str]]:
    """The steps of a scene, as recorded."""
    found: list[dict[str, str]] = json.loads((RECORDINGS / f"{scene}.json").read_text())["steps"]
    return found


def answers() -> Iterator[Answer]:
    """Every recorded answer that the executor could have been given."""
    for path in sorted(RECORDINGS.glob("*.json")):
        for step in json.loads(path.read_text())["steps"]:
            command = step["command"]
            if step["exit_code"] != 0 or "| wc" in command or "uniq" in command:
                continue
            if found := re.match(r"(?:\w+=\S+ )?squeue .*-o '([^']*)'", command):
                yield from _queue_answer(path.stem, command, found[1].split("|"), step["stdout"])
            elif found := re.match(r"(?:\w+=\S+ )?sacct .*-o (\S+)", command):
                fields = found[1].split(",")
                yield from _accounting_answer(path.stem, command, fields, step["stdout"])


def answer(scene: str, part: str, number: int = 0) -> str:
    """The text of one answer: the so-and-so-many-th of a scene whose command has that part."""
    found = [item for item in answers() if item.scene == scene and part in item.command]
    return found[number].text


def _queue_answer(scene: str, command: str, fields: list[str], text: str) -> Iterator[Answer]:
    if not {"%i", "%A"} & set(fields) or "%T" not in fields or "%j" in fields[-1:]:
        return
    lines = []
    for line in text.splitlines():
        names = [_QUEUE_LETTERS.get(name, name) for name in fields]
        row = dict(zip(names, line.split("|"), strict=True))
        array_id, _, index = row.get("job_id", "").partition("_")
        array_id = row.get("array_id", array_id)
        index = row.get("index", index.strip("[]") or "N/A")
        cells = [
            row.get("raw_id", array_id),
            array_id,
            index,
            row["state"],
            "256" if row["state"] == "FAILED" else "0",
            row.get("host", ""),
            row.get("reason", "None"),
        ]
        lines.append("|".join(cells) + "|")
    yield Answer(scene, command, "\n".join(lines), len(lines))


def _accounting_answer(scene: str, command: str, fields: list[str], text: str) -> Iterator[Answer]:
    if not {"JobID", "State"} <= set(fields):
        return
    lines = []
    for line in text.splitlines():
        row = dict(zip(fields, line.split("|"), strict=True))
        if row["JobID"] == "JobID" or re.search(r"\.\w+$", row["JobID"]):
            continue  # the heading, and steps, which --allocations leaves out
        cells = [
            row.get("JobIDRaw", row["JobID"]),
            row["JobID"],
            row["State"],
            row.get("ExitCode", "0:0"),
            row.get("NodeList", "None assigned"),
            row.get("Reason", "None"),
        ]
        lines.append("|".join(cells))
    yield Answer(scene, command, "\n".join(lines), len(lines))
