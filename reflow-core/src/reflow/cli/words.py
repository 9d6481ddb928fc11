"""Building blocks of the commands' options and arguments."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from reflow.cli.source import complete_run_ids, runs_of


def option(*flags: str, metavar: str, help: str, **more: Any) -> Any:
    """Declare an option with a value. `help` is markup, and tells the default where it matters."""
    return typer.Option(*flags, metavar=metavar, help=help, show_default=False, **more)


def switch(*flags: str, help: str, **more: Any) -> Any:
    """Declare an option without a value."""
    return option(*flags, metavar="", help=help, **more)


def run_argument(help: str) -> Any:
    """Declare an argument that is the id of a run."""
    return typer.Argument(
        metavar="RUN", help=help, show_default=False, autocompletion=complete_run_ids
    )


def use_store(context: typer.Context, url: str | None) -> None:
    """Make the command line use another manifest, before the command itself runs."""
    if url is not None and not context.resilient_parsing:
        runs_of(context).use_store(url)


def store_option(**more: Any) -> Any:
    """Declare the option that names the manifest."""
    return option(
        "--store",
        metavar="URL",
        help="The manifest of runs: a file or a URL, in place of the configured one.",
        callback=use_store,
        is_eager=True,
        expose_value=False,
        **more,
    )


StoreOption = Annotated[str | None, store_option()]
RunId = Annotated[str, run_argument("Id of a run, or 'latest'.")]
Json = Annotated[bool, switch("--json", help="Print JSON, for programs.")]
