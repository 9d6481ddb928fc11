"""Finding out how much Slurm lets a user submit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from reflow.plugin_api import parse_time

_SETTING = re.compile(r"^(\w+)\s*=\s*(.*?)\s*$", re.MULTILINE)
_FIELD = r"(?:^|\s){name}=(\S*)"
_SUBMIT_LIMIT = re.compile(r"\b(?:Grp|Max)SubmitJobs(?:P[AU])?=(\d+)\((\d+)\)")


@dataclass(frozen=True, slots=True)
class Places:
    """A limit on jobs in the queue, each array element counted, and how many count already."""

    most: int
    used: int


@dataclass(frozen=True, slots=True)
class Membership:
    """The account, QOS and partition of a user's jobs by default."""

    account: str
    qos: str


def configuration(text: str) -> dict[str, str]:
    """Parse the settings that `scontrol show config` prints."""
    return dict(_SETTING.findall(text))


def largest_array(settings: Mapping[str, str]) -> int | None:
    """Return the most elements of an array: indices run from 0 to one less than MaxArraySize.

    Where MaxArraySize is 0 there are no arrays, and one element is a plain job.
    """
    sizes = [settings.get("MaxArraySize", "")]
    sizes += re.findall(r"max_array_tasks=(\d+)", settings.get("SchedulerParameters", ""))
    return min((max(1, int(size)) for size in sizes if size.isdigit()), default=None)


def enforces_limits(settings: Mapping[str, str]) -> bool:
    """Tell whether associations and QOS can limit submission."""
    enforced = settings.get("AccountingStorageEnforce", "").lower()
    return any(word in enforced for word in ("limits", "qos", "safe"))


def longest_time(text: str, names: str | None) -> timedelta | None:
    """Find the MaxTime of partitions, named with commas between them, or of the default one.

    `text` is what `scontrol --oneliner show partition` prints. Of several the longest counts: jobs
    wait for whichever takes them. None where one has no limit, or is not shown.
    """
    lines = text.splitlines()
    shown = {_field(line, "PartitionName"): _field(line, "MaxTime") for line in lines}
    default = (_field(line, "PartitionName") for line in lines if _field(line, "Default") == "YES")
    wanted = names.split(",") if names else [next(default, None)]
    times = [shown.get(name) or "UNLIMITED" for name in wanted]
    return None if "UNLIMITED" in times else max(map(parse_time, times))


def memberships(text: str) -> list[Membership]:
    """Parse `sacctmgr --noheader --parsable2 show assoc format=account,defaultqos,partition`.

    Associations for one partition only are left out.
    """
    rows = (line.split("|") for line in text.splitlines())
    return [Membership(row[0], row[1]) for row in rows if len(row) == 3 and not row[2]]


def quality_limit(text: str) -> int | None:
    """Parse `sacctmgr --noheader --parsable2 show qos format=maxsubmitjobsperuser`, of one QOS."""
    return int(text.strip()) if text.strip().isdigit() else None


def default_account(text: str, user: str) -> str | None:
    """Find the account of jobs that name none, by `scontrol --oneliner show assoc_mgr`."""
    for line in text.splitlines():
        if _owner(line) == user and _field(line, "DefAssoc") == "Yes":
            return _field(line, "Account")
    return None


def association_places(text: str, user: str, account: str) -> Iterator[Places]:
    """List the limits of a user's association and of the accounts above it, by the same command."""
    lines = text.splitlines()
    parents = {_field(line, "Account"): line for line in lines if _owner(line) == ""}
    own = [line for line in lines if (_owner(line), _field(line, "Account")) == (user, account)]
    for line in own:
        yield from _places(line)
    above: str | None = account
    while above in parents:
        line = parents.pop(above)
        # Limits of an account that are no group limits are only defaults of its members.
        yield from _places(line.replace("MaxSubmitJobs=", "inherited="))
        above = (_field(line, "ParentAccount") or "").partition("(")[0]


def qualities_in_use(text: str, uid: int) -> list[str]:
    """Find the QOS under which jobs of a user are counted now, by the same command."""
    found = []
    for line in text.splitlines():
        name = re.match(r"QOS=(\S+?)\(", line)
        users = _braces(line.partition("User Limits=")[2], str(uid))
        counted = re.search(r"MaxSubmitJobsPU=\w+\((\d+)\)", users)
        if name and counted and int(counted[1]):
            found.append(name[1])
    return found


def quality_places(text: str, uid: int, account: str | None, qos: str) -> Iterator[Places]:
    """List the limits of a QOS, by the same command; those per user once it is in use."""
    for line in text.splitlines():
        if not line.startswith(f"QOS={qos}("):
            continue
        whole, _, members = line.partition("Account Limits=")
        yield from _places(whole)
        accounts, _, users = members.partition("User Limits=")
        yield from _places(_braces(accounts, account or ""))
        yield from _places(_braces(users, str(uid)))


def _places(text: str) -> Iterator[Places]:
    for most, used in _SUBMIT_LIMIT.findall(text):
        yield Places(int(most), int(used))


def _owner(line: str) -> str | None:
    """Find the user of an association; empty for an account's own, None for another line."""
    name = _field(line, "UserName")
    return None if name is None else name.partition("(")[0]


def _field(line: str, name: str) -> str | None:
    found = re.search(_FIELD.format(name=name), line)
    return found[1] if found else None


def _braces(text: str, name: str) -> str:
    found = re.search(rf"(?:^|\s){re.escape(name)}=\{{([^}}]*)\}}", text)
    return found[1] if found else ""
