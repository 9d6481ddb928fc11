"""The text of the user's files: top-level names, and where the names they use lead."""

from __future__ import annotations

import ast
import builtins
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import FunctionType, MappingProxyType
from typing import Any, Protocol, TypeAlias

from reflow.fingerprint.code.parts import Part, innermost, is_definition, parts_of
from reflow.fingerprint.code.pieces import Label, Piece, Pieces, Ref
from reflow.fingerprint.code.plain import PlainValue, look_at
from reflow.fingerprint.code.source_file import SourceFile
from reflow.fingerprint.code.syntax import Chain, Description, Import
from reflow.fingerprint.code.unsaved import read_source
from reflow.fingerprint.code.user_code import Module, UserCode
from reflow.model.canonical import digest, dumps
from reflow.model.json import Json

Seen: TypeAlias = frozenset[tuple[Path, str]]
"""Imported names on the way, so that modules that import from each other end."""

_CONTAINERS = (dict, list, tuple, set, frozenset)
_COMPILED = (".so", ".pyd", ".pyc")

_files: dict[Path, tuple[SourceFile | None, object]] = {}
"""Files as they were when first looked at since they were loaded, beside the module's spec (a
reload makes a new one). This is what the process takes itself to be running."""


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A file of the user's own, as one survey sees it."""

    source: SourceFile
    loaded: Mapping[str, Any] | None
    """The globals of its module; None where a function imports it and may not have done so yet,
    so that nothing depends on whether it has."""

    @property
    def key(self) -> tuple[Path, bool]:
        """Distinguishes this file from others, and from the same file seen the other way."""
        return self.source.path, self.loaded is None


class DescribesValues(Protocol):
    """Describes objects in memory."""

    def value(self, value: object) -> Json:
        """Describe any value; functions and classes by their files, where these have them."""
        ...

    def contents(self, value: object) -> Json:
        """Describe any value, but a function or class as loaded, whatever its file says."""
        ...

    def given_to(self, function: object) -> dict[str, tuple[str, str]]:
        """Return digest and text of each value that counts of those a function was given."""
        ...


class WrittenCode:
    """Follows names through the user's files."""

    live: DescribesValues

    def __init__(
        self,
        pieces: Pieces,
        user_code: UserCode,
        known_globals: Mapping[Path, Mapping[str, Any]],
        task_of: Callable[[object], object],
    ) -> None:
        self.task_of = task_of
        self.user_code = user_code
        self.edited: set[Path] = set()
        """Files of which something that was loaded differs from what they say now."""
        self.contents: dict[Path, str] = {}
        """Digests of the files that were looked at, as they were then."""
        self._pieces = pieces
        self._known_globals = known_globals

    # -- files -----------------------------------------------------------------------------------
    def file(self, path: Path, *, is_loaded: bool = True) -> OwnFile | None:
        """Return a file of the user's own, read and parsed once; None if that is impossible."""
        loaded = self._known_globals.get(path) or self.user_code.loaded(path)
        spec = loaded.get("__spec__")
        known = _files.get(path)
        if known is None or known[1] is not spec:
            known = _files[path] = (_read(path), spec)
        source = known[0]
        self.contents[path] = source.digest if source else ""
        return OwnFile(source, loaded if is_loaded else None) if source else None

    def agreeing(self, file: OwnFile, agrees: Callable[[SourceFile], bool]) -> OwnFile | None:
        """Return the file, read once more if need be, if it agrees with what was loaded.

        Where an import hook rewrote the code while loading, there is nothing to compare.
        """
        loader = (file.loaded or {}).get("__loader__")
        if type(loader) not in (SourceFileLoader, type(None)) or agrees(file.source):
            return file
        path = file.source.path
        fresh = _read(path)
        if fresh is not None and agrees(fresh):
            _files[path] = (fresh, (file.loaded or {}).get("__spec__"))
            return OwnFile(fresh, file.loaded)
        self.edited.add(path)
        return None

    # -- top-level names -------------------------------------------------------------------------
    def unit(self, file: OwnFile, name: str) -> Ref:
        """Return the number of what a file makes of a top-level name."""
        return self._pieces.ref((file.key, name), partial(self._describe_unit, file, name))

    def whole(self, file: OwnFile) -> Ref:
        """Return the number of all that a file does when it is imported."""
        return self._pieces.ref(file.key, partial(self._describe_whole, file))

    def _describe_whole(self, file: OwnFile, piece: Piece) -> Json:
        piece.label = Label(file.source.path, "", "module")
        return self.describe(file, file.source.all_statements(), piece)

    def describe(
        self, file: OwnFile, nodes: Iterable[ast.AST], piece: Piece, own_name: str | None = None
    ) -> dict[str, Json]:
        """Describe statements of a file: their text, and where the names in them lead."""
        texts: list[Json] = []
        links: dict[str, Json] = {}
        for node in nodes:
            try:
                description, uses = file.source.describe(node, file.loaded or {})
            except RecursionError:
                return {"file": digest(file.source.content)}
            texts.append(description.text)
            for chain in sorted(uses):
                target = self._target(file, description, chain) if chain[0] != own_name else None
                if target is not None:
                    links[".".join(chain)] = target
            for chain in sorted(file.source.changed_by_functions(node)):
                piece.changes.append((self._target(file, description, chain), chain[1:]))
        return {"code": texts, "uses": links}

    def _describe_unit(self, file: OwnFile, name: str, piece: Piece) -> Json:
        piece.label = Label(file.source.path, name, file.source.kind(name))
        piece.is_memory = file.source.is_changed_by_functions(name)
        value = None
        if file.loaded is not None and name in file.loaded:
            value = file.loaded[name]
            self._look_at(value, piece)
            found = self.agreeing(file, lambda source: source.agrees(name, value))
            if found is None and piece.value is None:
                return {"loaded": self.live.contents(value)}
            file = found or file
        described = self.describe(file, file.source.statements(name), piece, own_name=name)
        holds: list[Json] = []
        only_defines = file.source.only_defines(name)
        is_made = type(value) is FunctionType and "<" in value.__code__.co_qualname
        if is_made or not only_defines:  # by a decorator, or a statement
            held = list(_definitions_in(value))
            holds = list(map(self.live.value, held))
            if is_made or (not piece.is_memory and held and all(map(self._is_own, held))):
                piece.given = self.live.given_to(value)
        if not only_defines:
            function = innermost(value)
            if type(function) is FunctionType:
                which = file.source.which(name, function.__code__)
                holds += [] if which is None else [which]
        holds += map(self.live.value, self._registered_in(value))
        module = (file.loaded or {}).get("__name__")
        if value is not None and (only_defines or is_definition(value, module, name)):
            self._describe_parts(file, name, value, piece, digest(dumps(described["code"])))
        parts: dict[str, Json] = dict(piece.parts)
        return {**described, "holds": holds, **({"parts": parts} if parts else {})}

    def _is_own(self, value: object) -> bool:
        """Tell whether a value is a function of the user's own."""
        if type(value) is not FunctionType:
            return False
        return self.user_code.owns(Path(os.path.realpath(value.__code__.co_filename)))

    def _registered_in(self, value: object) -> Iterator[object]:
        """Yield functions and classes that are attributes of a function, or in containers there.

        Of a class, only those in containers: its methods are in its statements.
        """
        is_class = issubclass(type(value), type)
        for part in parts_of(value, self._is_own):
            if not part.is_default and (type(part.value) in _CONTAINERS or not is_class):
                yield from _definitions_in(part.value)

    def _describe_parts(
        self, file: OwnFile, name: str, value: object, piece: Piece, statements: str
    ) -> None:
        """Record the plain values in a class or function that were made at import."""
        piece.task = self.task_of(value)
        made = list(self._values_in(file, name, value))
        changed = file.source.changed_by_methods(name) if made else set()
        for part, plain in made:
            label = Label(file.source.path, f"{name}.{part.name}", "constant")
            is_memory = part.name.rpartition(".")[2] in changed
            if part.is_default:
                piece.defaults.add(part.name)
            piece.parts[part.name] = self._pieces.ref(
                (file.key, label.name),
                partial(self._describe_part, label, plain, is_memory, statements),
            )

    def _values_in(
        self, file: OwnFile, name: str, value: object
    ) -> Iterator[tuple[Part, PlainValue]]:
        """Yield values in a class or function that its statements do not tell."""
        literals = file.source.literals_in(name)
        for part in parts_of(value, self._is_own):
            if part.is_default and part.name in literals:
                continue
            plain = look_at(part.value)
            if plain is None or (part.name in literals and look_at(literals[part.name]) == plain):
                continue
            yield part, plain

    def _describe_part(
        self, label: Label, value: PlainValue, is_memory: bool, statements: str, piece: Piece
    ) -> Json:
        piece.label, piece.value, piece.is_memory = label, value, is_memory
        piece.classes = [self.live.value(kind) for kind in value.classes]
        return {"made by": statements}

    def _look_at(self, value: object, piece: Piece) -> None:
        """Record a value that was made at import, if it is plain data."""
        piece.value = look_at(value)
        if piece.value is not None:
            piece.classes = [self.live.value(kind) for kind in piece.value.classes]

    # -- where names lead ------------------------------------------------------------------------
    def _target(self, file: OwnFile, description: Description, chain: Chain) -> Json:
        """Return where a name used in a piece leads; imports made inside come first."""
        inner = description.imports.get(chain[0])
        if inner is None:
            return self._resolve(file, chain, frozenset())
        inside = OwnFile(file.source, None)
        return _alternatives(
            [self._imported(inside, item, chain[1:], frozenset()) for item in inner]
        )

    def _resolve(self, file: OwnFile, chain: Chain, seen: Seen) -> Json:
        """Return where a name leads: a number, a foreign name, or None."""
        name = chain[0]
        definer = self._definer(file, name, frozenset())
        if definer is None:
            return self._from_nowhere(file, name)
        here = seen | {(definer.source.path, name)}
        found = [
            self._imported(definer, item, chain[1:], here) for item in definer.source.imports(name)
        ]
        if definer.source.binds(name):
            found.append(self.unit(definer, name))
        return _alternatives(found)

    def _definer(self, file: OwnFile, name: str, seen: frozenset[Path]) -> OwnFile | None:
        """Return the file that binds a name here: itself, or one that it imports `*` from."""
        if file.source.binds(name) or file.source.imports(name):
            return file
        for star in reversed(file.source.stars):  # the last one that has it wins
            module = self.user_code.find(star, file.source.path)
            other = self._file_of(module, file, star)
            if other is not None and other.source.path not in seen:
                definer = self._definer(other, name, seen | {file.source.path})
                if definer is not None:
                    return definer
        return None

    def _from_nowhere(self, file: OwnFile, name: str) -> Json:
        """Describe a name that no statement binds: a built-in, or set at run time."""
        if name not in (file.loaded or {}) or name.startswith("__") or hasattr(builtins, name):
            return None
        return self._put_there(file, name)

    def _put_there(self, file: OwnFile, name: str) -> Ref:
        """Return the number of a module's attribute that other code has set."""
        return self._pieces.ref((file.key, name), partial(self._describe_put_there, file, name))

    def _describe_put_there(self, file: OwnFile, name: str, piece: Piece) -> Json:
        assert file.loaded is not None
        piece.label = Label(file.source.path, name, "constant")
        piece.is_memory = file.source.is_changed_by_functions(name)
        self._look_at(file.loaded[name], piece)
        return {"put there": name} if piece.value else self.live.value(file.loaded[name])

    def _imported(self, file: OwnFile, item: Import, rest: Chain, seen: Seen) -> Json:
        """Return where an imported name leads, with the attributes then taken from it."""
        names = (item.attribute, *rest) if item.attribute else rest
        module = self.user_code.find(item, file.source.path)
        if module is None:
            return ".".join((f"{'.' * item.level}{item.module}", *names))
        return self._inside(module, names, seen, file, item)

    def _inside(
        self, module: Module, names: Chain, seen: Seen, importer: OwnFile, item: Import
    ) -> Json:
        """Return where attributes of one of the user's modules lead."""
        file = self._file_of(module, importer, item)
        if names and file is not None and (file.source.path, names[0]) not in seen:
            definer = self._definer(file, names[0], frozenset())
            if definer is not None:
                return self._resolve(definer, names, seen)
        part = self.user_code.submodule(module, names[0]) if names else None
        if part is not None:
            return self._inside(part, names[1:], seen, importer, item)
        if names and names[0].startswith("__"):
            return None
        if names and file is not None and names[0] in (file.loaded or {}):
            return self._put_there(file, names[0])
        return self._whole_module(module, file)

    def _file_of(self, module: Module | None, importer: OwnFile, item: Import) -> OwnFile | None:
        if module is None or module.file is None:
            return None
        is_loaded = importer.loaded is not None and not item.for_types
        return self.file(module.file, is_loaded=is_loaded)

    def _whole_module(self, module: Module, file: OwnFile | None) -> Json:
        if file is not None:
            return self.whole(file)
        if module.file is None:
            return None
        return self._pieces.ref(module.file, partial(_describe_bytes, module.file))


def _read(path: Path) -> SourceFile | None:
    try:
        # A script may be called anything; the other suffixes are those of compiled modules.
        return None if path.suffix in _COMPILED else SourceFile(path, read_source(path))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def _describe_bytes(path: Path, piece: Piece) -> Json:
    """Describe a compiled module, or one that cannot be parsed."""
    piece.label = Label(path, "", "compiled")
    try:
        return {"bytes": digest(path.read_bytes())}
    except OSError:
        return None


def _alternatives(targets: list[Json]) -> Json:
    """Return where a name leads that may be bound in several ways (`try: import ...`)."""
    return targets[0] if len(targets) == 1 else targets


def _definitions_in(value: Any, depth: int = 3) -> Iterator[object]:
    """Yield functions and classes in a global container: a registry, a list of steps.

    What was registered with a `functools.singledispatch` function comes with it.
    """
    kind = type(value)
    if kind is FunctionType or issubclass(kind, type):
        yield value
        registry = vars(value).get("registry") if kind is FunctionType else None
        if type(registry) is MappingProxyType:
            for registered_for, function in registry.items():
                if type(function) is FunctionType:
                    yield from (registered_for, function)
    elif depth and kind in _CONTAINERS:
        parts = value.values() if kind is dict else value
        if kind in (set, frozenset):
            parts = sorted(value, key=lambda part: str(getattr(part, "__qualname__", "")))
        for part in parts:
            yield from _definitions_in(part, depth - 1)
