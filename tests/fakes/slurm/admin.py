"""The fake `sinfo` and `sacctmgr`, as far as programs ask them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Parsed, getopt_long, options

if TYPE_CHECKING:
    from tests.fakes.slurm.emulator import SlurmEmulator

SINFO_OPTIONS = options(
    """
    a/all b/bg d/dead e/exact federation o/format= O/Format= help hide i/iterate= json local
    l/long M/clusters= n/nodes= h/noheader noconvert N/Node p/partition= r/responding
    R/list-reasons S/sort= s/summarize t/states= T/reservation usage v/verbose V/version yaml
    """
)
SACCTMGR_OPTIONS = options(
    """
    s/associations h/help i/immediate n/noheader o/oneliner p/parsable P/parsable2 Q/quiet
    r/readonly usage v/verbose V/version
    """
)


class Sinfo:
    """The command: partitions and nodes."""

    def __init__(self, emulator: SlurmEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """List partitions, or with -N nodes."""
        try:
            line = getopt_long(call.arguments, SINFO_OPTIONS)
        except BadOptionError as error:
            raise Refusal(f'sinfo: {error}\nTry "sinfo --help" for more information') from None
        if line.has("version"):
            return Reply("slurm-wlm 22.05.8\n")
        template = line.last(
            "format", "%#N %.6D %#P %6t" if line.has("Node") else "%9P %.5a %.10l %.6D %.6t %N"
        )
        rows = [] if line.has("noheader") else [_HEADERS]
        rows += self._nodes(line) if line.has("Node") else self._partitions(line)
        return Reply("".join(_fill(template, row) + "\n" for row in rows))

    def _chosen(self, line: Parsed) -> list[str]:
        names = list(self._emulator.settings.partitions)
        if line.has("partition"):
            names = [name for name in names if name in line.last("partition").split(",")]
        return names

    def _partitions(self, line: Parsed) -> list[dict[str, str]]:
        rows = []
        for name in self._chosen(line):
            nodes = self._emulator.partition_nodes(name)
            rows.append(
                {
                    **self._of_partition(name),
                    "N": ",".join(node.name for node in nodes),
                    "D": str(len(nodes)),
                    "c": str(max((node.cpus for node in nodes), default=0)),
                    "m": str(max((node.memory for node in nodes), default=0) // 2**20),
                    "G": "(null)",
                    "t": "idle",
                    "T": "idle",
                }
            )
        return rows

    def _nodes(self, line: Parsed) -> list[dict[str, str]]:
        rows = []
        for node in self._emulator.engine.nodes:
            for name in self._chosen(line):
                if node not in self._emulator.partition_nodes(name):
                    continue
                state = "idle" if not node.used_cpus else "mix"
                state = "alloc" if node.used_cpus >= node.cpus else state
                state = state if node.up else "down"
                rows.append(
                    {
                        **self._of_partition(name),
                        "N": node.name,
                        "D": "1",
                        "t": state,
                        "T": {"mix": "mixed", "alloc": "allocated"}.get(state, state),
                        "E": "none",
                        "c": str(node.cpus),
                        "m": str(node.memory // 2**20),
                    }
                )
        return rows

    def _of_partition(self, name: str) -> dict[str, str]:
        partition = self._emulator.settings.partitions[name]
        is_default = name == next(iter(self._emulator.settings.partitions))
        minutes = partition.get("max_minutes")
        return {
            "P": name + ("*" if is_default else ""),
            "R": name,
            "a": "up" if partition.get("up", True) else "down",
            "l": f"{minutes}:00" if minutes else "infinite",
        }


_HEADERS = {
    "P": "PARTITION", "R": "PARTITION", "a": "AVAIL", "l": "TIMELIMIT", "N": "NODELIST",
    "D": "NODES", "t": "STATE", "T": "STATE", "E": "REASON", "c": "CPUS", "m": "MEMORY",
}  # fmt: skip


def _fill(template: str, row: dict[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        right, width, letter = match[1] == ".", int(match[2] or 0), match[3]
        text = row.get(letter, "")
        if not width:
            return text
        return text[:width].rjust(width) if right else text[:width].ljust(width)

    return re.sub(r"%([.#]?)(\d*)([A-Za-z])", replace, template)


class Sacctmgr:
    """The command: `show cluster`, `show account`, `show qos`, `show assoc`."""

    def __init__(self, emulator: SlurmEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Show what accounting knows of the site."""
        try:
            line = getopt_long(call.arguments, SACCTMGR_OPTIONS)
        except BadOptionError as error:
            raise Refusal(f"sacctmgr: {error}") from None
        if line.has("version"):
            return Reply("slurm-wlm 22.05.8\n")
        settings = self._emulator.settings
        if not settings.accounting:
            raise Refusal(
                "You are not running a supported accounting_storage plugin\n"
                "Only 'accounting_storage/slurmdbd' is supported."
            )
        if settings.accounting_down:
            raise Refusal("sacctmgr: error: Problem talking to the database: Connection refused")
        verb, entity, *conditions = [*line.operands, "", ""][: max(len(line.operands), 2)]
        if verb not in ("show", "list"):
            raise Refusal(f"sacctmgr: error: Invalid keyword: {verb}")
        wanted = dict(word.partition("=")[::2] for word in conditions if "=" in word)
        rows = self._rows(entity.lower(), call)
        rows = [row for row in rows if _agrees(row, wanted)]
        names = wanted.get("format", ",".join(rows[0] if rows else ())).split(",")
        return Reply(_table(names, rows, line))

    def _rows(self, entity: str, call: Call) -> list[dict[str, str]]:
        settings = self._emulator.settings
        limit = "" if settings.max_submit_jobs is None else str(settings.max_submit_jobs)
        if entity.startswith("cluster"):
            return [{"cluster": settings.cluster}]
        if entity.startswith("account"):
            return [{"account": name} for name in settings.accounts]
        if entity.startswith("qos"):
            return [
                {
                    "name": name,
                    "maxsubmitpu": str(limits.get("max_submit", "")),
                    "maxjobspu": str(limits.get("max_running", "")),
                }
                for name, limits in settings.qos.items()
            ]
        if entity.startswith("assoc"):
            return [
                {
                    "cluster": settings.cluster,
                    "account": name,
                    "user": call.user,
                    "partition": "",
                    "maxjobs": "",
                    "maxsubmit": limit,
                    "qos": ",".join(settings.qos),
                    "defaultqos": "normal",
                }
                for name in settings.accounts
            ]
        raise Refusal(f"sacctmgr: error: Invalid entity: {entity}")


def _agrees(row: dict[str, str], wanted: dict[str, str]) -> bool:
    """Whether a row meets `user=me account=lab`, whatever names it does not have left out."""
    return all(
        row[name.lower()] in value.split(",")
        for name, value in wanted.items()
        if name.lower() in row
    )


def _table(names: list[str], rows: list[dict[str, str]], line: Parsed) -> str:
    keys = [name.partition("%")[0].lower() for name in names]
    table = [[_value(row, key) for key in keys] for row in rows]
    if not line.has("noheader"):
        table.insert(0, [name.partition("%")[0].capitalize() for name in names])
    if line.has("parsable", "parsable2"):
        end = "|" if line.has("parsable") else ""
        return "".join("|".join(one) + end + "\n" for one in table)
    return "".join("".join(f"{text[:10]:>10} " for text in one) + "\n" for one in table)


def _value(row: dict[str, str], key: str) -> str:
    """A field by its name or, as sacctmgr allows, the beginning or a longer form of it."""
    for name, value in row.items():
        if key and (name.startswith(key) or key.startswith(name)):
            return value
    raise Refusal(f"sacctmgr: error: Unknown field '{key}'")
