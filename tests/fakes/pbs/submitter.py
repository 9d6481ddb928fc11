"""Reading what qsub is asked for, and what every job has whatever it asks for."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from reflow.testing.fakes.emulator import Call, Refusal
from reflow.testing.fakes.grammar import Layers

from tests.fakes.pbs.jobs import parse_size, parse_span

if TYPE_CHECKING:
    from tests.fakes.pbs.emulator import PbsEmulator

_Dependency = TypeVar("_Dependency")
_PRIORITY = re.compile(r"[+-]?\d+")
_OF_THE_LOGIN = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "SHLVL", "_"}
"""Variables that a login sets anew."""


@dataclass
class GivenOptions(Layers):
    """The options in force: the command line's over the script's."""

    script: bytes | None
    script_name: str
    command: list[str]


class Submitter(ABC):
    """Reads options, checks resources, and fills in what any job has."""

    spans: ClassVar[tuple[str, ...]]
    """Resources that are times; so the other kinds below."""
    sizes: ClassVar[tuple[str, ...]]
    numbers: ClassVar[tuple[str, ...]]
    words: ClassVar[tuple[str, ...]]

    def __init__(self, emulator: PbsEmulator) -> None:
        self.emulator = emulator

    @abstractmethod
    def illegal(self, option: str) -> Refusal:
        """Refuse a value that qsub itself cannot read."""

    @abstractmethod
    def unknown_resource(self, name: str) -> Refusal:
        """Refuse a resource that the server does not have."""

    @abstractmethod
    def bad_resource(self, name: str) -> Refusal:
        """Refuse a value that is none of that resource's."""

    def begin(self, given: GivenOptions) -> float:
        """When the job may start; 0 for at once."""
        if not given.has("a"):
            return 0.0
        moment = parse_date(given.last("a"), self.emulator.engine.now())
        if moment is None:
            raise self.illegal("a")
        return moment

    def dependencies(
        self, attributes: Mapping[str, str], parse: Callable[[str], list[_Dependency] | None]
    ) -> list[_Dependency]:
        """What `-W depend=` says."""
        found = parse(attributes["depend"]) if "depend" in attributes else []
        if found is None:
            raise self.illegal("W")
        return found

    def check_resource(self, name: str, value: str) -> None:
        """Refuse what is no resource, or not one of its values."""
        extra = self.emulator.settings.resources
        if name not in (*self.spans, *self.sizes, *self.numbers, *self.words, *extra):
            raise self.unknown_resource(name)
        if self.is_bad(name, value):
            raise self.bad_resource(name)

    def is_bad(self, name: str, value: str) -> bool:
        """Whether a resource of that kind has no such value."""
        return (
            (name in self.spans and parse_span(value) is None)
            or (name in self.sizes and parse_size(value) is None)
            or (name in self.numbers and not value.isdigit())
        )

    def common(self, call: Call, given: GivenOptions, variables: dict[str, str]) -> dict[str, Any]:
        """What any job has, whatever it asks for."""
        now = self.emulator.engine.now()
        priority = given.last("p", "0")
        exported = {name: one for name, one in variables.items() if name not in _OF_THE_LOGIN}
        return {
            "user": call.user,
            "uid": call.uid,
            "submitted": now,
            "changed": now,
            "priority": int(priority) if _PRIORITY.fullmatch(priority) else 0,
            "holds": {"u"} if given.has("h") else set(),
            "begin": self.begin(given),
            "requeues": given.last("r", "y") != "n",
            "command": tuple(given.command),
            "environment": {**self.emulator.login_environment(), **exported},
            "variables": variables,
            "submit_directory": call.directory,
            "submit_arguments": " ".join(call.arguments),
            "output": given.last("o"),
            "error": given.last("e"),
            "join": given.last("j", "n"),
            "keep": given.last("k", "n"),
            "shell": given.last("S").partition("@")[0],
        }


def parse_date(text: str, now: float) -> float | None:
    """Read `[[[[CC]YY]MM]DD]hhmm[.SS]`; None for invalid."""
    match = re.fullmatch(r"(\d{4}|\d{6}|\d{8}|\d{10}|\d{12})(?:\.(\d\d))?", text)
    if match is None:
        return None
    today = time.strftime("%Y%m%d", time.localtime(now))
    digits = match[1]
    full = today[: 12 - len(digits)] + digits
    try:
        moment = time.mktime(time.strptime(full + (match[2] or "00"), "%Y%m%d%H%M%S"))
    except ValueError:
        return None
    return moment + 86400 if len(digits) == 4 and moment <= now else moment
