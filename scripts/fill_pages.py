#!/usr/bin/env python3
"""Copy code into the pages that show it.

A comment before a block of a page says which file of the project it shows, or which part of it:

    <!-- from: PATH -->
    <!-- from: PATH:NAME -->

A part stands between a line with `[start:NAME]` and one with `[end:NAME]`, or is the assignment,
function or method of that name. Of a class it is all that stands above the first method. Names with
commas between them are shown one after the other. A part loses the indentation that all its lines
have. So pages are whole in a clone, too; a test fails where a
block is not as its file, and this script mends it.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
_MARK = re.compile(r"^.*\[(?:start|end):\w+\].*\n", re.MULTILINE)
_SHOWN = re.compile(
    r"^(?P<indent> *)<!-- from: (?P<source>\S+) -->\n"
    r"(?P<between>(?: *<!--.*-->\n)*)"
    r"(?P<fence> *```.*\n)(?P<text>(?:.*\n)*?)(?P<end> *```\n)",
    re.MULTILINE,
)


def content(source: str) -> str:
    """Read a file of the project, or the part of it that `PATH:NAME` names."""
    path, _, name = source.partition(":")
    text = (ROOT / path).read_text(encoding="utf-8")
    if name:
        start, end = re.escape(f"[start:{name}]"), re.escape(f"[end:{name}]")
        found = re.findall(rf".*{start}.*\n((?:.*\n)*?).*{end}", text)
        found = found or ["\n".join(_named(text, each) for each in name.split(","))]
        if len(found) != 1:
            raise LookupError(f"{path} has {len(found)} parts [start:{name}]")
        [text] = found
    return textwrap.dedent(_MARK.sub("", text)).strip("\n") + "\n"


def _named(text: str, name: str) -> str:
    """Return the lines of what has that name in a file; of a class, those above its methods."""
    found = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.Assign) and name in _names(node)
    ]
    if len(found) != 1:
        raise LookupError(f"{len(found)} parts are called {name}")
    [node] = found
    last = node.end_lineno
    if isinstance(node, ast.ClassDef):
        methods = (_first_line(each) - 1 for each in node.body if isinstance(each, ast.FunctionDef))
        last = next(methods, last)
    lines = text.splitlines(keepends=True)
    return "".join(lines[_first_line(node) - 1 : last]).rstrip() + "\n"


def _first_line(node: ast.ClassDef | ast.FunctionDef | ast.Assign) -> int:
    decorators = [] if isinstance(node, ast.Assign) else node.decorator_list
    return min(each.lineno for each in (node, *decorators))


def _names(node: ast.ClassDef | ast.FunctionDef | ast.Assign) -> list[str]:
    if isinstance(node, ast.Assign):
        return [each.id for each in node.targets if isinstance(each, ast.Name)]
    return [node.name]


def filled(page: str) -> str:
    """Replace each block of a page that shows a file with what the file holds."""

    def fill(block: re.Match[str]) -> str:
        text = textwrap.indent(content(block["source"]), block["indent"])
        comment = f"{block['indent']}<!-- from: {block['source']} -->\n"
        return comment + block["between"] + block["fence"] + text + block["end"]

    return _SHOWN.sub(fill, page)


def pages() -> Iterator[Path]:
    """Find every page of the documentation."""
    yield from sorted((ROOT / "docs").rglob("*.md"))


def main() -> None:
    """Fill all pages, and name those that changed."""
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = filled(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
