"""Run parameters as options of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import typer

from reflow.cli.words import option, switch
from reflow.errors import UsageError
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
"""Replaces typer's own `--help`, which would have a panel to itself."""


def with_parameters(command: Command, parameters: Mapping[str, RunParameter]) -> Command:
    """Add an option for each run parameter to the signature of a command.

    `command` gets the values given by the user as the keyword `parameters`, a dict by parameter
    name. Defaults are filled in where the parameters are bound.
    """
    # Generated names, as a parameter may have any name that Python allows.
    by_name = {f"parameter_{place}": each for place, each in enumerate(parameters.values())}

    def call(**given: Any) -> None:
        nothing = {name for name in by_name if given.pop(_negated(name), False)}
        for name, parameter in by_name.items():
            if (
                parameter.declared.default is REQUIRED
                and given[name] is None
                and name not in nothing
            ):
                raise UsageError(f"Missing option '{parameter.flag}'.")
        values = {
            parameter.name: _value(parameter, given[name], name in nothing)
            for name, parameter in by_name.items()
            if given[name] is not None or name in nothing
        }
        rest = {name: value for name, value in given.items() if name not in by_name}
        command(parameters=values, **rest)

    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
        if name != "parameters"
    ]
    options = [each for item in by_name.items() for each in _options(*item)]
    call.__signature__ = inspect.Signature([*options, *own])  # type: ignore[attr-defined]
    call.__annotations__ = {}
    return call


def _negated(name: str) -> str:
    return f"{name}_nothing"


def _value(parameter: RunParameter, given: Any, nothing: bool) -> Any:
    if nothing and given is not None:
        raise UsageError(f"give {parameter.flag} or {parameter.negative_flag}, not both")
    if nothing:
        return parameter_type(parameter.declared.annotation).nothing
    if isinstance(given, bool):
        return given
    return parse_text(parameter.declared.annotation, given, parameter.flag)


def _options(name: str, parameter: RunParameter) -> Iterator[inspect.Parameter]:
    """Yield the option of a parameter, and one for None or [] where the first cannot say that."""
    declared, kind = parameter.declared, parameter_type(parameter.declared.annotation)
    negated = kind.negated(declared.default)
    yield _option(name, parameter, kind, required=declared.default is REQUIRED and not negated)
    if negated:
        information = switch(
            parameter.negative_flag,
            help="An empty list." if kind.many else "None.",
            rich_help_panel=PARAMETERS_PANEL,
        )
        yield inspect.Parameter(
            _negated(name),
            inspect.Parameter.KEYWORD_ONLY,
            default=False,
            annotation=Annotated[bool, information],
        )


def _option(
    name: str, parameter: RunParameter, kind: ParameterType, *, required: bool
) -> inspect.Parameter:
    declared = parameter.declared
    flags = [parameter.flag, *([declared.short] if declared.short else [])]
    if kind.switch:
        flags[0] += f"/{parameter.negative_flag}"
    shown = "required" if declared.default is REQUIRED else _default(text_of(declared.default))
    information = option(
        *flags,
        help=_help(declared.help, "" if required else shown),
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


def _typed(kind: ParameterType) -> Any:
    if kind.switch:
        return bool
    return list[str] if kind.many else str


def _metavar(kind: ParameterType) -> str:
    if kind.switch:
        return ""
    label = kind.label.replace(" ", "")
    label = label if len(label) <= _WIDEST_CHOICE else f"{label[: _WIDEST_CHOICE - 3]}..."
    if not kind.many:
        return label
    return f"{label} ..." if kind.takes_commas else f"{label},..."


def _default(text: str) -> str:
    return f"default: {text}" if text else ""


def _help(text: str, note: str) -> str:
    """Write help text and a note in rich's markup, with the user's own text escaped."""
    parts = [literal(text)]
    if note:
        parts.append(f"[dim]{literal(f'[{note}]')}[/dim]")
    return " ".join(part for part in parts if part)


def literal(text: str) -> str:
    """Escape a text for rich's markup."""
    if "[" not in text and "\\" not in text:
        return text
    from rich.markup import escape

    return escape(text)
