"""How the source of a task differs between two source records."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterable, Iterator
from difflib import unified_diff
from itertools import islice
from typing import TypeVar

from reflow.fingerprint.code.task_source import Definition, Given, TaskSource, Value
from reflow.runs.explain.words import Difference, Field

MOST_LINES = 30
"""Lines of a diff that are kept."""
MOST_DEFINITIONS = 20
"""Definitions of which the difference is told."""

Texts = Callable[[str], str | None]
"""Returns the text of a file as a run has it; None where nobody has kept it."""
_Piece = TypeVar("_Piece", Definition, Value, Given)


def source_differences(
    old: TaskSource, new: TaskSource, old_texts: Texts, new_texts: Texts
) -> list[Difference]:
    """Return what differs in what a task is made of; values first, as they say most."""
    found = [
        *_of_values(old.values, new.values),
        *_of_given(old.given, new.given),
        *islice(
            _of_definitions(old.definitions, new.definitions, old_texts, new_texts),
            MOST_DEFINITIONS,
        ),
    ]
    return _one_each(found)


def _one_each(found: Iterable[Difference]) -> list[Difference]:
    """Leave out what was told before: a name may be a value in one run and a text in the other."""
    kept: dict[tuple[str, str], Difference] = {}
    for each in found:
        kept.setdefault((os.path.basename(each.file), each.name), each)  # noqa: PTH119
    return list(kept.values())


def _paired(
    old: Iterable[_Piece], new: Iterable[_Piece]
) -> Iterator[tuple[_Piece | None, _Piece | None]]:
    """Pair pieces of one name; of one file, wherever the file lies."""
    before = {_key(each): each for each in old}
    for each in new:
        yield before.pop(_key(each), None), each
    for gone in before.values():
        yield gone, None


def _key(piece: Definition | Value | Given) -> tuple[str, str, str]:
    function = piece.function if isinstance(piece, Given) else ""
    return os.path.basename(piece.file), piece.name, function  # noqa: PTH119


def _of_values(old: Iterable[Value], new: Iterable[Value]) -> Iterator[Difference]:
    for before, now in _paired(old, new):
        if before is not None and now is not None and before.digest != now.digest:
            yield Difference(
                field=Field.VALUE,
                name=now.name,
                file=now.file,
                old=before.told,
                new=now.told,
                detail="" if before.statements != now.statements else "made at import",
            )
        elif before is None or now is None:
            there = now or before
            assert there is not None
            yield Difference(
                field=Field.VALUE,
                name=there.name,
                file=there.file,
                old=before.told if before else "",
                new=now.told if now else "",
                detail="used now" if now else "no longer used",
            )


def _of_given(old: Iterable[Given], new: Iterable[Given]) -> Iterator[Difference]:
    for before, now in _paired(old, new):
        if before is not None and now is not None and before.digest != now.digest:
            whose = f"given to {now.function}" if now.function else "given to the function"
            yield Difference(
                field=Field.VALUE,
                name=now.name,
                file=now.file,
                old=before.told,
                new=now.told,
                detail=whose,
            )


def _of_definitions(
    old: Iterable[Definition], new: Iterable[Definition], old_texts: Texts, new_texts: Texts
) -> Iterator[Difference]:
    for before, now in _paired(old, new):
        if before is not None and now is not None and before.digest == now.digest:
            continue
        there = now or before
        assert there is not None
        detail = "" if before and now else "used now" if now else "no longer used"
        diff: tuple[str, ...] = ()
        if before is not None and now is not None:
            diff = _diff(_text_of(before, old_texts), _text_of(now, new_texts), there.file)
        yield Difference(
            field=Field.DEFINITION,
            name=f"{there.kind} {there.name}".strip(),
            file=there.file,
            detail=detail,
            diff=diff,
        )


# -- texts ------------------------------------------------------------------------------------
def _text_of(definition: Definition, texts: Texts) -> list[str] | None:
    text = texts(definition.file)
    if text is None or not definition.name:
        return None if text is None else text.splitlines()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    name = definition.name.partition(".")[0]
    lines = text.splitlines()
    found = [node for node in _statements(tree) if _defines(node, name)]
    return [line for node in found for line in lines[node.lineno - 1 : node.end_lineno]] or None


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements of a module's top level, those in its blocks too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.expr):
            yield from _statements(child)


def _defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name == name
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        targets = [node.target]
    return any(
        isinstance(part, ast.Name) and part.id == name
        for target in targets
        for part in ast.walk(target)
    )


def _diff(old: list[str] | None, new: list[str] | None, file: str) -> tuple[str, ...]:
    if old is None or new is None:
        return ()
    lines = list(unified_diff(old, new, lineterm="", n=1))[2:]
    if len(lines) > MOST_LINES:
        return (*lines[:MOST_LINES], f"... and {len(lines) - MOST_LINES} more lines")
    return tuple(lines)


def version_of(code: str) -> str:
    """Return the author's version in what a task counts by; empty where it is a digest."""
    return code.removeprefix("version ").rpartition(" in ")[0] if " in " in code else ""
