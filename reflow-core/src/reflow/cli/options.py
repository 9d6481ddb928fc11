"""Run parameters as options of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from reflow.cli.words import option, switch
from reflow.model.graph import RunParameter
from reflow.model.tasks import REQUIRED
from reflow.wiring.parameters import ParameterType, parameter_type, parse_text, text_of

PARAMETERS_PANEL = "Workflow parameters"
OPTIONS_PANEL = "Options of reflow"
_WIDEST_CHOICE = 30

Command = Callable[..., None]


def show_help(context: typer.Context, wanted: bool) -> None:
    """Print the command's help and end."""
    if wanted and not context.resilient_parsing:
        typer.echo(context.get_help())
        raise typer.Exit


HelpOption = Annotated[
    bool,
    switch(
        "--help",
        "-h",
        callback=show_help,
        is_eager=True,
        expose_value=False,
        help="Show this and exit.",
        rich_help_panel=OPTIONS_PANEL,
    ),
]
"""Stands in for typer's own, which would have a panel to itself."""


def with_parameters(command: Command, parameters: Mapping[str, RunParameter]) -> Command:
    """A command with an option for each run parameter, besides those of its own signature.

    `command` takes the values that were given as the keyword `parameters`, a dict by the
    parameters' keywords. Defaults are left to whoever binds them.
    """
    # Names of our own, as a parameter may have any name that Python allows.
    by_name = {f"parameter_{place}": each for place, each in enumerate(parameters.values())}

    def call(**given: Any) -> None:
        values = {
            parameter.name: _value(parameter, given[name])
            for name, parameter in by_name.items()
            if given[name] is not None
        }
        rest = {name: value for name, value in given.items() if name not in by_name}
        command(parameters=values, **rest)

    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
        if name != "parameters"
    ]
    options = [_option(name, parameter) for name, parameter in by_name.items()]
    call.__signature__ = inspect.Signature([*options, *own])  # type: ignore[attr-defined]
    call.__annotations__ = {}
    return call


def _value(parameter: RunParameter, given: Any) -> Any:
    if isinstance(given, bool):
        return given
    return parse_text(parameter.declared.annotation, given, parameter.flag)


def _option(name: str, parameter: RunParameter) -> inspect.Parameter:
    declared, kind = parameter.declared, parameter_type(parameter.declared.annotation)
    flags = [parameter.flag, *([declared.short] if declared.short else [])]
    if _is_switch(kind):
        flags[0] += f"/--no-{parameter.flag.removeprefix('--')}"
    required = declared.default is REQUIRED
    information = option(
        *flags,
        help=_help(declared.help, None if required else text_of(declared.default)),
        metavar=_metavar(kind),
        autocompletion=(lambda: list(kind.choices)) if kind.choices else None,
        rich_help_panel=PARAMETERS_PANEL,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if required else None,
        annotation=Annotated[_typed(kind), information],
    )


def _is_switch(kind: ParameterType) -> bool:
    return kind.element is bool and not kind.choices and not kind.many


def _typed(kind: ParameterType) -> Any:
    if _is_switch(kind):
        return bool
    return list[str] if kind.many else str


def _metavar(kind: ParameterType) -> str:
    if _is_switch(kind):
        return ""
    label = kind.label.replace(" ", "")
    label = label if len(label) <= _WIDEST_CHOICE else f"{label[: _WIDEST_CHOICE - 3]}..."
    return f"{label}, ..." if kind.many else label


def _help(text: str, default: str | None) -> str:
    """Help text with the default, in rich's markup, which the user's own words are not."""
    parts = [literal(text)]
    if default:
        parts.append(f"[dim]{literal(f'[default: {default}]')}[/dim]")
    return " ".join(part for part in parts if part)


def literal(text: str) -> str:
    """A text that means itself where markup is understood."""
    if "[" not in text and "\\" not in text:
        return text
    from rich.markup import escape

    return escape(text)
