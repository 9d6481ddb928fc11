"""The output of `plugins`, `config show` and `doctor`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from reflow.report.layout import GAP, columns, paragraph

if TYPE_CHECKING:
    from reflow.config.schema import Config
    from reflow.plugins.hookspecs import Finding
    from reflow.plugins.registry import PluginReport

_KINDS = ("executor", "store", "type rule", "codec")
_PASSWORD = re.compile(r"""(://[^:/@"]*:)[^/"]*(?=@)|(password=)[^&"]*""")


def plugin_lines(report: PluginReport, *, width: int) -> list[Text]:
    """Show a plugin: its distribution, what it provides, what is wrong with it."""
    head = Text.assemble((report.distribution, "bold"), f" {report.version}")
    head.append(f"{GAP}({report.name})", "dim")
    if not report.usable:
        head.append(f"{GAP}left out", "red")
    lines = [head]
    for kind, names in _by_kind(report.provides).items():
        named = f"{kind}: {', '.join(names)}" if names else kind
        lines += paragraph(named, width=width, indent=GAP * 2, first=GAP)
    for problem in report.problems:
        told = paragraph(problem, width=width, indent=GAP * 2, first=f"{GAP}! ")
        lines += [Text(line.plain, "red") for line in told]
    return lines


def _by_kind(provides: Sequence[str]) -> dict[str, list[str]]:
    """Group names by kind: `executor local` under `executor`; a kind without names has none."""
    kinds: dict[str, list[str]] = {}
    for what in provides:
        kind = next((kind for kind in _KINDS if what.startswith(f"{kind} ")), None)
        if kind is None:
            kinds[what] = []
        else:
            kinds.setdefault(kind, []).append(what.removeprefix(f"{kind} "))
    return kinds


def config_lines(config: Config, *, width: int) -> list[Text]:
    """Show one line per setting: key, value, origin. Passwords in URLs are left out."""
    from reflow.config.schema import keys, toml

    rows = [[Text(word, "dim") for word in ("key", "value", "from")]]
    values: dict[str, Any] = {key.name: key.of(config) for key in keys()}
    for executor, table in config.executor.settings.items():
        values.update({f"executor.{executor}.{name}": each for name, each in table.items()})
    for task, table in config.tasks.items():
        values.update({f"tasks.{task}.{name}": each for name, each in table.items()})
    for name, value in values.items():
        plain = list(value) if isinstance(value, tuple) else value
        text = "" if plain is None else _PASSWORD.sub(r"\1\2***", toml(plain))
        origin = config.origin(name)
        style = "dim" if origin == "default" else ""
        rows.append([Text(name, style), Text(text, style), Text(origin, style)])
    return columns(rows, width=width, flexible=1)


def finding_lines(name: str, finding: Finding, *, width: int) -> list[Text]:
    """Show what a check found: in one line when it passed, otherwise with what to do."""
    if finding.ok:
        mark, style = ("ok   ", "green") if finding.checked else ("--   ", "dim")
        lines = paragraph(f"{name}: {finding.text}", width=width, indent=" " * 5, first=mark)
        lines[0].stylize(style, 0, 2)
        lines[0].stylize("dim", 5 + len(name))
        for line in lines[1:]:
            line.stylize("dim")
        return lines
    head = Text.assemble(("bad  ", "bold red"), name)
    return [head, *paragraph(finding.text, width=width, indent=" " * 5)]


def findings_json(findings: Sequence[tuple[str, Finding]]) -> dict[str, Any]:
    """Return what checks found as documented JSON."""
    return {
        "version": 1,
        "ok": all(finding.ok for _, finding in findings),
        "findings": [
            {
                "check": name,
                "ok": finding.ok,
                "text": finding.text,
                "checked": finding.checked,
            }
            for name, finding in findings
        ],
    }
