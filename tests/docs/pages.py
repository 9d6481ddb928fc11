"""Pages of the documentation as people follow them: block by block, from top to bottom.

A page's blocks share a folder and a home. What a fence says decides what is done with it:

| fence | what happens |
|---|---|
| `python title="flow.py"` | written to that file and imported |
| `python` | run as a script in the page's folder |
| `console` | each line after `$ ` is run; what follows it must be what it prints |
| `toml title="config.toml"` | becomes the configuration file, and must be valid without a warning |
| `toml`, `json` | must parse |
| `text`, `mermaid` | nothing: it shows something |

In what a command prints, `...` stands for anything, and run ids, times and dates need not be the
same; a run id that a page shows stands for the real one in the commands after it. What a block
shows of a file of the project is copied into it by `scripts/fill_pages.py`. A comment before a
block changes what is done with it:

    <!-- from: PATH -->          it is what that file holds; `PATH:NAME`, a part of it
    <!-- not run: REASON -->     the block is left alone
    <!-- exits 2 -->             its last command must end with that code
    <!-- first: COMMAND -->      a command that the reader does not see
    <!-- cell -->                it is run as a cell of the page's notebook
    <!-- prints -->              it is what the cell before it prints, or its value
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.kernel import Notebook, open_notebook

REPOSITORY = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*) *(?P<rest>.*)$")
_COMMENT = re.compile(r"^ *<!-- *(?P<words>.*?) *-->$")
_RUN_ID = re.compile(r"\b[A-Za-z_][\w-]*?-\d{8}-[0-9a-f]{4}\b")
_VARIABLE = re.compile(
    r"""(?P<run_id>\b[A-Za-z_][\w-]*?-\d{8}-[0-9a-f]{4}\b)
      | (?P<moment>\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?)
      | (?P<clock>\b\d\d:\d\d:\d\d\b)
      | (?P<duration>\b\d+(?:\.\d+)?[ ]?(?:ms|s|min|h)\b)
      | (?P<anything>\.\.\.)
      | (?P<space>[ ]{2,})""",
    re.VERBOSE,
)
_PATTERNS = {
    "moment": r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?",
    "clock": r"\d\d:\d\d:\d\d",
    "duration": r"\d+(?:\.\d+)?[ ]?(?:ms|s|min|h)",
    "anything": r".*?",
    "space": r"[ ]+",
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    title: str | None
    text: str
    comments: tuple[str, ...]

    def comment(self, start: str) -> str | None:
        """The rest of the comment that begins so, if there is one."""
        for words in self.comments:
            if words.startswith(start):
                return words.removeprefix(start).strip()
        return None


def pages() -> list[Path]:
    """Every page there is."""
    folders = [REPOSITORY / "docs", REPOSITORY / "benchmarks"]
    found = [path for folder in folders for path in folder.rglob("*.md")]
    return sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("reflow-*/*.md"), *found])


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, with the comments that stand right before them."""
    comments: list[str] = []
    fence: re.Match[str] | None = None
    start, lines = 0, list[str]()
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if fence is not None:
            if line.strip() == "```":
                title = re.search(r'title="([^"]+)"', fence["rest"])
                text = "".join(f"{each.removeprefix(fence['indent'])}\n" for each in lines)
                words = tuple(comments)
                yield Block(start, fence["language"], title and title[1], text, words)
                fence, lines, comments = None, [], []
            else:
                lines.append(line)
        elif found := _FENCE.match(line):
            fence, start = found, number
        elif comment := _COMMENT.match(line):
            comments.append(comment["words"])
        elif line.strip():
            comments = []
    assert fence is None, f"{page.name}:{start} is never closed"


@dataclass
class Reader:
    """Somebody who does what a page says, in a folder and a home of their own."""

    folder: Path
    home: Path
    activated: bool = True
    """Whether `.venv/bin` is on their PATH."""
    run_ids: dict[str, str] = field(default_factory=dict)
    """What a run is called on the page, and what it is called here."""
    notebook: Notebook | None = None
    """The page's notebook, once it has begun one."""
    printed: str = ""
    """What its last cell printed."""
    stack: ExitStack = field(default_factory=ExitStack)
    """What is to be closed when the page is read."""

    def __post_init__(self) -> None:
        """Lay out the folder as a clone in which `./demo` has been run."""
        (self.folder / ".venv").symlink_to(sys.prefix)
        (self.folder / "docs").symlink_to(REPOSITORY / "docs")

    def follow(self, block: Block) -> None:
        """Do what a block says. Raises AssertionError where it is not so."""
        if block.comment("not run:") is not None:
            return
        if (command := block.comment("first:")) is not None:
            assert self._run(command).returncode == 0, f"this failed: {command}"
        match block.language:
            case "python" if block.comment("cell") is not None:
                self._run_cell(block)
            case "text" if block.comment("prints") is not None:
                self._compare("the cell", block.text, self.printed)
            case "python" if block.title:
                (self.folder / block.title).write_text(block.text)
                self._python("-c", f"import {Path(block.title).stem}")
            case "python":
                script = self.folder / f"line_{block.line}.py"
                script.write_text(block.text)
                self._python(script.name)
            case "console":
                self._follow_console(block)
            case "toml":
                self._configure(block)
            case "json":
                json.loads(block.text)
            case "text" | "mermaid":
                pass
            case other:
                raise AssertionError(f"say what to do with a block of {other!r}")

    def _follow_console(self, block: Block) -> None:
        head, *rest = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
        assert not head.strip(), "a console block begins with a command after `$ `"
        for number, part in enumerate(rest, start=1):
            command, _, expected = part.partition("\n")
            while command.endswith("\\"):
                more, _, expected = expected.partition("\n")
                command = f"{command[:-1]} {more.removeprefix('>').strip()}"
            ended = self._run(_RUN_ID.sub(self._known, command))
            code = int(block.comment("exits") or 0) if number == len(rest) else 0
            assert ended.returncode == code, (
                f"{command} ended with {ended.returncode}\n{ended.stdout}"
            )
            if expected.strip():
                self._compare(command, expected, ended.stdout)

    def _run_cell(self, block: Block) -> None:
        if self.notebook is None:
            self.notebook = self.stack.enter_context(
                open_notebook(self.folder, environment=self._environment())
            )
        self.printed = self.notebook.run(block.text)

    def _known(self, shown: re.Match[str]) -> str:
        return self.run_ids.get(shown.group(), shown.group())

    def _compare(self, command: str, expected: str, printed: str) -> None:
        names: list[str] = []

        def pattern(found: re.Match[str]) -> str:
            if found["run_id"]:
                names.append(found["run_id"])
                return rf"({_RUN_ID.pattern})"
            return _PATTERNS[str(found.lastgroup)]

        lines = []
        for line in expected.rstrip().splitlines():
            if line.strip() == "...":
                lines.append(r"(?:.*\n)*?")
                continue
            parts, end = [], 0
            for found in _VARIABLE.finditer(line.rstrip()):
                parts += [re.escape(line[end : found.start()]), pattern(found)]
                end = found.end()
            lines.append("".join([*parts, re.escape(line.rstrip()[end:]), r"[ ]*\n"]))
        tidy = "".join(f"{line.rstrip()}\n" for line in printed.rstrip().splitlines())
        matched = re.fullmatch("".join(lines), tidy)
        assert matched, f"$ {command}\nprinted\n{tidy}\nand the page shows\n{expected}"
        self.run_ids.update(zip(names, matched.groups(), strict=True))

    def _configure(self, block: Block) -> None:
        tomllib.loads(block.text)
        if block.title == "config.toml":
            file = self.home / ".config" / "reflow" / "config.toml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
            self._python("-W", "error", "-c", "import reflow; reflow.load_config()")

    def _python(self, *words: str) -> None:
        ended = self._execute([sys.executable, *words])
        assert ended.returncode == 0, ended.stdout

    def _run(self, command: str) -> subprocess.CompletedProcess[str]:
        return self._execute(["bash", "-c", command])

    def _path(self) -> str:
        ours = str(Path(sys.executable).parent)
        others = [entry for entry in os.environ["PATH"].split(os.pathsep) if entry != ours]
        return os.pathsep.join([ours, *others] if self.activated else others)

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": self._path(),
            "COLUMNS": "100",
            "LANG": "C.UTF-8",
            # The machine may have a scheduler; readers of these pages need none.
            "REFLOW_EXECUTOR": "local",
        }

    def _execute(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        """Run something and wait; output and errors are one text, as on a terminal."""
        return subprocess.run(
            words,
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
