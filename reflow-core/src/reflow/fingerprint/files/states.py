"""The state of a file or folder: what is kept of a look at it, and when two looks are equal.

A state is small, whatever the tree: names, kinds and sizes are one digest, and the times of the
files another. File systems and servers keep times at different precision, and a client may show an
hour later only the microseconds of a time that it first knew to the nanosecond. So two times are
equal when one is the other cut to its own precision. To decide that for trees, too, the digest of
the times is kept at each precision that is in use.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

from reflow.errors import StoredValueError
from reflow.model.json import Json
from reflow.model.tasks import FILES_MODES, FilesMode

Mode: TypeAlias = FilesMode
Kind: TypeAlias = Literal["file", "folder", "other", "missing", "large", "unreadable"]

PRECISIONS = (1, 100, 1_000, 1_000_000, 1_000_000_000)
"""Nanoseconds that times are multiples of: ext4 or XFS, SMB, some NFS servers, archives and
object stores, and Lustre among those that keep whole seconds."""
_SHIFT = 2 * 10**30
"""Makes any time that a file system has a positive number of `_DIGITS` digits."""
_DIGITS = len(str(_SHIFT))
_USUAL = range(10**18, 10**19)
_UNKNOWN: tuple[Kind, ...] = ("large", "unreadable")


@dataclass(frozen=True, slots=True)
class State:
    """What is kept of one look at a place."""

    place: str
    mode: Mode
    kind: Kind
    """`large` is a tree that was left after as many entries as the look was allowed."""
    links: tuple[tuple[str, str], ...] = ()
    """Path and text of the links that count, on the way to the place and at its end."""
    entries: int = 0
    """Entries of a folder, of those below it too."""
    size: int = 0
    """Bytes, of all files."""
    newest: int | None = None
    """Latest modification time of a file, in ns since 1970."""
    digest: str = ""
    """Of a folder: names, kinds, sizes and link texts. Of `other`: what it is (`fifo`). Of what is
    not known: a text that no other look has."""
    times: tuple[str, ...] = ()
    """Of a folder: digest of the times of its files at each of `PRECISIONS`."""
    precision: int = 0
    """Of a folder: the coarsest of `PRECISIONS`, by position, that all those times have."""
    content: str = ""
    """Where contents count: the digest of a file's bytes, or of all that is in a folder; empty
    where the look was not to read them."""
    stamp: str = ""
    """Where contents count: a digest that changes, at the least, whenever they have."""
    made: str = ""
    """Where being there is enough: which execution of a task returned it; empty elsewhere."""
    reason: str = ""
    """Why the state is not known."""

    @property
    def known(self) -> bool:
        """Whether the look has an answer. A state without one equals no other, ever."""
        return self.kind not in _UNKNOWN

    @property
    def has_contents(self) -> bool:
        """Whether there are contents that count."""
        return self.mode == "content" and self.kind in ("file", "folder")

    @property
    def is_read(self) -> bool:
        """Whether contents, where they count, are known."""
        return self.content != "" or not self.has_contents

    def as_made(self, execution: str) -> State:
        """Add the execution that wrote the place, where files count by existence alone."""
        return replace(self, made=execution) if self.mode == "exists" else self

    def may_agree_with(self, other: State) -> bool:
        """Tell whether reading the contents could show that two looks saw the same."""
        return self.has_contents and (
            (self.place, self.mode, self.kind, self.links, self.size, self.digest)
            == (other.place, other.mode, other.kind, other.links, other.size, other.digest)
        )

    def counts_by(self) -> Json:
        """Return what the state adds to an identity, its place and mode included."""
        counted: dict[str, Json] = {"place": self.place, "mode": self.mode, "kind": self.kind}
        if self.links:
            counted["links"] = [list(link) for link in self.links]
        if self.made:
            counted["made"] = self.made
        return counted | self._measure()

    def _measure(self) -> dict[str, Json]:
        if not self.known or self.kind == "other":
            return {"digest": self.digest}
        if self.mode == "exists" or self.kind == "missing":
            return {}
        if self.mode == "content":
            return {"content": self.content}
        if self.kind == "file":
            return {"size": self.size, "time": self.newest}
        return {"digest": self.digest, "times": self.times[0]}

    def agrees_with(self, other: State) -> bool:
        """Tell whether two looks saw the same, the precision of times apart."""
        if not self.known or not other.known:
            return False
        if (self.place, self.mode, self.kind, self.links) != (
            other.place,
            other.mode,
            other.kind,
            other.links,
        ):
            return False
        if self.mode != "stat" or self.kind not in ("file", "folder"):
            if self.is_read and other.is_read:
                return self._measure() == other._measure()
            return self.stamp == other.stamp
        if (self.size, self.digest) != (other.size, other.digest):
            return False
        return self._has_times_of(other)

    def _has_times_of(self, other: State) -> bool:
        if self.kind == "file":
            return times_agree(self.newest, other.newest)
        if self.times[0] == other.times[0]:
            return True
        coarser = max(self.precision, other.precision)
        return self.times[coarser] == other.times[coarser]

    def difference(self, other: State) -> str:
        """Describe in a few words how the state differs from an earlier look's."""
        if not self.known:
            return self.reason
        if self.kind != other.kind:
            return f"{_KIND_WORDS[self.kind]} instead of {_KIND_WORDS[other.kind]}"
        if self.links != other.links:
            return _other_links(self.links, other.links)
        if self.mode != other.mode:
            return f'counted by "{self.mode}" instead of "{other.mode}"'
        changes = [
            *_more(self.entries - other.entries, "entry", "entries"),
            *_more(self.size - other.size, "byte", "bytes"),
        ]
        if self.newest is not None and not times_agree(self.newest, other.newest):
            changes.append(_other_time(self.newest, other.newest))
        return ", ".join(changes) or "other names, contents or times"

    def as_json(self) -> dict[str, Json]:
        """Return the state as JSON, of about 1 KB beside its place and links."""
        written: dict[str, Json] = {}
        for field in _FIELDS:
            value = getattr(self, field.name)
            if value != field.default:
                written[field.name] = _listed(value)
        return written

    @classmethod
    def from_json(cls, data: Json) -> State:
        """Read a state back. Raises `StoredValueError` for any other data."""
        try:
            return _read(data)
        except (KeyError, TypeError, ValueError, AssertionError) as error:
            raise StoredValueError(f"no state of a file or folder: {str(data)[:80]}") from error


_FIELDS = fields(State)
_MODES = frozenset(FILES_MODES)
_KIND_WORDS: Mapping[Kind, str] = {
    "file": "a file",
    "folder": "a folder",
    "other": "neither a file nor a folder",
    "missing": "nothing",
    "large": "a large folder",
    "unreadable": "something that cannot be read",
}


def _listed(value: Any) -> Json:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def _read(data: Any) -> State:
    values = dict(data)
    if "links" in values:
        values["links"] = tuple((str(path), str(text)) for path, text in values["links"])
    if "times" in values:
        values["times"] = tuple(map(str, values["times"]))
    state = State(**values)
    assert state.mode in _MODES
    assert state.kind in _KIND_WORDS
    texts = (state.place, state.digest, state.content, state.stamp, state.made, state.reason)
    assert set(map(type, texts)) == {str}
    numbers = (state.entries, state.size, state.precision, state.newest or 0)
    assert set(map(type, numbers)) == {int}
    if state.kind == "folder" and state.mode == "stat":
        assert len(state.times) == len(PRECISIONS)
        assert 0 <= state.precision < len(PRECISIONS)
    return state


def times_agree(one: int | None, other: int | None) -> bool:
    """Tell whether one time in ns is the other, or the other cut to its own precision."""
    if one is None or other is None or one == other:
        return one == other
    unit = PRECISIONS[max(_precision_of(one), _precision_of(other))]
    return one // unit == other // unit


def digests_of_times(times: Sequence[int]) -> tuple[tuple[str, ...], int]:
    """Digest times in ns at each of `PRECISIONS`; and the coarsest that all of them have.

    As decimal texts of one length below each other, times are cut by leaving out columns. So the
    digest of each precision is one of the first columns, and a finer one goes on where a coarser
    one ended.
    """
    columns = _columns(times)
    taken = hashlib.sha256()
    digests: list[str] = []
    start = 0
    for unit in reversed(PRECISIONS):
        end = _DIGITS - len(str(unit)) + 1
        taken.update(b"".join(columns[start:end]))
        digests.append(taken.hexdigest())
        start = end
    coarsest = max(
        position
        for position, unit in enumerate(PRECISIONS)
        if not b"".join(columns[_DIGITS - len(str(unit)) + 1 :]).strip(b"0")
    )
    # The first is part of identities; the others only make a look tolerant.
    return (digests.pop(), *(digest[:32] for digest in reversed(digests))), coarsest


def _columns(times: Sequence[int]) -> list[bytes]:
    """Write times as numbers of `_DIGITS` digits below each other; return the columns of digits.

    Nearly all times there are lie between 2001 and 2286, and have 19 digits of their own.
    """
    own = len(str(_USUAL.start))
    if not times or not (_USUAL.start <= min(times) and max(times) < _USUAL.stop):
        return _cut("".join([str(_SHIFT + time) for time in times]), _DIGITS)
    same = str(_SHIFT)[:-own]
    return [digit.encode() * len(times) for digit in same] + _cut(
        "%d" * len(times) % (*times,), own
    )


def _cut(rows: str, digits: int) -> list[bytes]:
    written = rows.encode()
    return [written[position::digits] for position in range(digits)]


def _precision_of(time: int) -> int:
    """Return the position of the coarsest precision that a time has."""
    return max(position for position, unit in enumerate(PRECISIONS) if not time % unit)


def _more(count: int, one: str, many: str) -> list[str]:
    if not count:
        return []
    direction = "more" if count > 0 else "fewer"
    return [f"{abs(count):,} {one if abs(count) == 1 else many} {direction}"]


def _other_links(now: Sequence[tuple[str, str]], before: Sequence[tuple[str, str]]) -> str:
    texts = dict(before)
    for path, text in now:
        if texts.get(path) != text:
            return f"{path} leads to {text} instead of {texts.get(path, 'being no link')}"
    return "a link on the way is gone"


def _other_time(now: int, before: int | None) -> str:
    if before is None:
        return f"modified {_moment(now, True)}"
    if now // 10**9 == before // 10**9:
        return f"modified {_fraction(now)} instead of {_fraction(before)}"
    with_date = _moment(now, True)[:10] != _moment(before, True)[:10]
    return f"modified {_moment(now, with_date)} instead of {_moment(before, with_date)}"


def _fraction(nanoseconds: int) -> str:
    return f"{_moment(nanoseconds, False)}.{nanoseconds % 10**9:09d}"


def _moment(nanoseconds: int, with_date: bool) -> str:
    try:
        moment = datetime.datetime.fromtimestamp(nanoseconds // 10**9)
    except (OverflowError, ValueError, OSError):
        return f"{nanoseconds // 10**9} s after 1970"
    return f"{moment:%Y-%m-%d %H:%M:%S}" if with_date else f"{moment:%H:%M:%S}"
