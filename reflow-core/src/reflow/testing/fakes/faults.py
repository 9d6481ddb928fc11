"""Faults that a test plants: slow, hanging and failing commands, and lost answers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from reflow.testing.fakes.emulator import Answer, Call, Later, Reply


@dataclass
class Fault:
    """One planted fault; it is used up after `times` calls, never where that is None."""

    command: str
    """A command's name; `*` for any."""
    kind: str
    """`slow`, `hang`, `fail`, `lose` or `lose_silently`."""
    times: int | None = 1
    seconds: float = 0.0
    reply: Reply = field(default_factory=Reply)
    word: str = ""
    """Only calls with this among their arguments."""

    def meets(self, call: Call) -> bool:
        """Tell whether the fault applies to this call."""
        if self.command not in ("*", call.name):
            return False
        return not self.word or self.word in call.arguments


class Faults:
    """The faults planted and not used up yet."""

    def __init__(self) -> None:
        self.planted: list[Fault] = []
        self._moments: list[float] = []

    def next_moment(self) -> float:
        """Return when the supervisor must look again, on the monotonic clock."""
        now = time.monotonic()
        self._moments = [moment for moment in self._moments if moment > now]
        return min(self._moments, default=math.inf)

    def look_again_at(self, moment: float) -> None:
        """Make the supervisor look again at that moment of the monotonic clock."""
        self._moments.append(moment)

    def wrap(
        self, call: Call, run: Callable[[Call], Answer], lost: Callable[[Call], Reply]
    ) -> Answer:
        """Run a command with the planted faults that apply to it."""
        fault = next((one for one in self.planted if one.meets(call)), None)
        if fault is None:
            return run(call)
        if fault.kind == "fail":
            self._use_up(fault)
            return fault.reply
        if fault.kind == "hang":
            self._use_up(fault)
            return Later(poll=lambda: None)
        answer = run(call)  # may need standard input first; this function is then called again
        self._use_up(fault)
        if fault.kind == "slow":
            return self._slow(answer, fault.seconds)
        if isinstance(answer, Reply) and answer.code == 0:
            return lost(call) if fault.kind == "lose" else Reply(killed=True)
        return answer

    def _use_up(self, fault: Fault) -> None:
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.planted.remove(fault)

    def _slow(self, answer: Answer, seconds: float) -> Answer:
        end = time.monotonic() + seconds
        self._moments.append(end)
        if isinstance(answer, Later):
            return answer
        return Later(poll=lambda: answer if time.monotonic() >= end else None)
