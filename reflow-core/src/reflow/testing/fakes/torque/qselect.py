"""The fake `qselect` of Torque."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reflow.testing.fakes.face import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Parsed, getopt_long, options
from reflow.testing.fakes.model import Task
from reflow.testing.fakes.torque.jobs import VERSION, job_of, name_of, state_of

if TYPE_CHECKING:
    from reflow.testing.fakes.torque.face import TorqueFace

OPTIONS = options("a/a= A/A= c/c= e/e h/h= l/l= N/N= p/p= q/q= r/r= s/s= u/u= version")
USAGE = """\
usage: qselect [-a [op]date_time] [-A account_string] [-e] [-h hold_list]
    [-l resource_list] [-N name] [-p [op]priority] [-q destination]
    [-r y|n] [-s states] [-u user_name]
"""
_STATES = "CEHQRTW"


class Qselect:
    """The command: the ids of plain jobs and of elements that meet conditions.

    An array as a whole is never among them, and its elements' names end in their indices.
    """

    def __init__(self, face: TorqueFace) -> None:
        self._face = face

    def __call__(self, call: Call) -> Answer:
        """List ids."""
        try:
            line = getopt_long(call.arguments, OPTIONS)
        except BadOptionError as error:
            raise Refusal(f"qselect: {error}\n{USAGE}", 2) from None
        if line.has("version"):
            return Reply(stderr=f"Version: {VERSION}\nCommit: \n")
        if line.operands:
            raise Refusal(USAGE, 2)
        if set(line.last("s")) - set(_STATES):
            raise Refusal(f"qselect: illegal -s value\n{USAGE}", 2)
        tasks = (task for job in self._face.known_torque_jobs() for task in job.present)
        chosen = (task for task in tasks if task.known and _fits(task, line))
        return Reply("".join(f"{self._face.native_id(task)}\n" for task in chosen))


def _fits(task: Task, line: Parsed) -> bool:
    job = job_of(task)
    if line.has("N") and name_of(task) != line.last("N"):
        return False
    if line.has("q") and job.queue != line.last("q").partition("@")[0]:
        return False
    if line.has("u") and job.user not in line.last("u").split(","):
        return False
    return not line.has("s") or state_of(task) in line.last("s")
