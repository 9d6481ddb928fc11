"""The commands about the installation: `plugins`, `config` and `doctor`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from reflow.cli.program import WRONG_USAGE, new_app
from reflow.cli.words import Json
from reflow.report.layout import GAP, columns, paragraph
from reflow.report.screen import put_json, screen

if TYPE_CHECKING:
    from reflow.config.schema import Config
    from reflow.plugins.hookspecs import Finding
    from reflow.plugins.registry import PluginReport

_KINDS = ("executor", "store", "type rule", "codec")
_PASSWORD = re.compile(r"""(://[^:/@"]*:)[^/"]*(?=@)|(password=)[^&"]*""")


def add_admin_commands(app: typer.Typer) -> None:
    """Add the commands about the installation to a command line."""
    app.command("plugins")(plugins)
    config = new_app("Show the settings, and where they come from.", invoke_without_command=True)
    config.callback()(_show_without_a_command)
    for command in (path, init, show):
        config.command(command.__name__)(command)
    app.add_typer(config, name="config")
    app.command("doctor")(doctor)


def plugins(json: Json = False) -> None:
    """Show what is installed, what it provides, and what failed to load and why."""
    from reflow.plugins.registry import registry

    found = registry().report()
    if json:
        put_json([asdict(each) for each in found])
        return
    console = screen()
    console.put(line for each in found for line in plugin_lines(each, width=console.width))


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


def path() -> None:
    """Print where the configuration file is looked for."""
    from reflow.config.schema import config_path

    screen().say(str(config_path()))


def init() -> None:
    """Write a commented configuration file, unless there is one."""
    from reflow.config.commented import ensure_config_exists
    from reflow.config.schema import config_path

    there = config_path().exists()
    file = ensure_config_exists()
    screen().say(f"{file} was there already; it is as it was" if there else f"wrote {file}")


def _show_without_a_command(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        show()


def show(json: Json = False) -> None:
    """Show every setting in effect, and where its value comes from."""
    from reflow.config.schema import load_config

    config = load_config()
    if json:
        put_json(config.as_dict())
        return
    console = screen()
    console.put(config_lines(config, width=console.width))


def config_lines(config: Config, *, width: int) -> list[Text]:
    """Show one line per setting: key, value, origin. Passwords in URLs are left out."""
    from reflow.config.schema import keys, toml

    rows = [[Text(word, "dim") for word in ("key", "value", "from")]]
    values: dict[str, Any] = {key.name: key.of(config) for key in keys()}
    for executor, table in config.executor.settings.items():
        values.update({f"executor.{executor}.{name}": each for name, each in table.items()})
    for name, value in values.items():
        plain = list(value) if isinstance(value, tuple) else value
        text = "" if plain is None else _PASSWORD.sub(r"\1\2***", toml(plain))
        origin = config.origin(name)
        style = "dim" if origin == "default" else ""
        rows.append([Text(name, style), Text(text, style), Text(origin, style)])
    return columns(rows, width=width, flexible=1)


def doctor() -> None:
    """Check that everything reflow needs is there.

    The exit code is 2 where something is not.
    """
    from reflow.plugins.registry import registry

    console, healthy = screen(), True
    for check in registry().health_checks():
        finding = check.run()
        healthy = healthy and finding.ok
        console.put(finding_lines(check.name, finding, width=console.width))
    if not healthy:
        raise typer.Exit(WRONG_USAGE)


def finding_lines(name: str, finding: Finding, *, width: int) -> list[Text]:
    """Show what a check found: in one line when it passed, otherwise with what to do."""
    head = Text.assemble(("ok   ", "green") if finding.ok else ("bad  ", "bold red"), name)
    if finding.ok:
        return [head + Text(f": {finding.text}", "dim")]
    return [head, *paragraph(finding.text, width=width, indent=" " * 5)]
