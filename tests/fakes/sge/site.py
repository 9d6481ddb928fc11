"""The fake `qconf` and `qhost`, as far as programs ask them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply

from tests.fakes.sge import grammar

if TYPE_CHECKING:
    from tests.fakes.sge.emulator import SgeEmulator

QCONF_OPTIONS = grammar.table("Mconf= help sc sconf sel sh spl sp= sql sq= ss ssconf sprjl")
QHOST_OPTIONS = grammar.table("F h= help j q xml")
_COMPLEXES = """\
#name               shortcut   type      relop requestable consumable default  urgency 
#--------------------------------------------------------------------------------------
h_rt                h_rt       TIME      <=    YES         NO         0:0:0    0
h_vmem              h_vmem     MEMORY    <=    YES         YES        100M     0
mem_free            mf         MEMORY    <=    YES         NO         0        0
slots               s          INT       <=    YES         YES        1        1000
"""  # noqa: W291 (as the command prints it)
_SCHEDULER = """\
algorithm                         default
schedule_interval                 0:0:2
maxujobs                          0
queue_sort_method                 load
job_load_adjustments              NONE
load_adjustment_decay_time        0:7:30
load_formula                      np_load_avg
schedd_job_info                   true
flush_submit_sec                  1
flush_finish_sec                  1
params                            none
reprioritize_interval             0:0:0
halftime                          168
"""


class Qconf:
    """The command: what it shows, and the one limit that it changes."""

    def __init__(self, emulator: SgeEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Show the site's settings."""
        line = grammar.parse("qconf", call.arguments, QCONF_OPTIONS)
        settings = self._emulator.settings
        shown = {
            "sc": _COMPLEXES,
            "sconf": self._configuration(),
            "ssconf": _SCHEDULER,
            "spl": _lines(settings.parallel_environments),
            "sql": _lines(settings.queues),
            "sel": _lines(node.name for node in self._emulator.engine.nodes),
            "sh": "node01\n",
            "ss": "node01\n",
            "sprjl": _lines(settings.projects),
        }
        for option, value in line.options:
            if option in shown:
                return Reply(shown[option])
            if option == "sp":
                return self._environment(value)
            if option == "Mconf":
                return self._modify(call, value)
        raise Refusal("qconf: no option specified", 1)

    def _configuration(self) -> str:
        settings = self._emulator.settings
        flush = int(settings.flush_time)
        values = {
            "min_uid": 0,
            "load_report_time": "00:00:05",
            "max_unheard": "00:00:30",
            "reschedule_unknown": "00:00:00",
            "reporting_params": f"accounting=true reporting=false flush_time=0:0:{flush} \\",
            "finished_jobs": settings.finished_jobs,
            "max_aj_instances": 2000,
            "max_aj_tasks": settings.max_aj_tasks,
            "max_u_jobs": settings.max_u_jobs,
            "max_jobs": 0,
        }
        return "#global:\n" + "".join(f"{name:<28} {value}\n" for name, value in values.items())

    def _environment(self, name: str) -> Reply:
        if name not in self._emulator.settings.parallel_environments:
            raise Refusal(f"{name} is not a parallel environment")
        return Reply(f"pe_name            {name}\nslots              999\n")

    def _modify(self, call: Call, name: str) -> Reply:
        text = (call.directory / name).read_text()
        match = re.search(r"^max_u_jobs\s+(\d+)", text, re.MULTILINE)
        if match is not None:
            self._emulator.settings.max_u_jobs = int(match[1])
        return Reply(stderr=f'{call.user}@node01 modified "{name}" in configuration list\n')


class Qhost:
    """The command."""

    def __init__(self, emulator: SgeEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """List the hosts."""
        grammar.parse("qhost", call.arguments, QHOST_OPTIONS)
        text = (
            "HOSTNAME                ARCH         NCPU NSOC NCOR NTHR  LOAD  MEMTOT  MEMUSE"
            "  SWAPTO  SWAPUS\n" + "-" * 94 + "\n"
            "global                  -               -    -    -    -     -       -       -"
            "       -       -\n"
        )
        for node in self._emulator.engine.nodes:
            text += (
                f"{node.name:<23} {'lx-amd64':<13}{node.cpus:4d} {1:4d} {node.cpus:4d} "
                f"{node.cpus:4d}  0.50 {node.memory / 2**30:6.1f}G  637.8M     0.0     0.0\n"
            )
        return Reply(text)


def _lines(names: Iterable[str]) -> str:
    return "".join(f"{name}\n" for name in names)
