"""Rendering of job scripts. Every value that a template inserts is quoted for the shell."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateError,
    Undefined,
    pass_context,
)
from jinja2.runtime import Context
from markupsafe import Markup

from reflow.errors import ConfigError

PACKAGED = "packaged"
"""The folder of packaged templates, for a site's: `{% extends "packaged/pond.sh.j2" %}`."""


class ScriptTemplates:
    """The templates of one backend, and those with which a site overrides them.

    A template of the same name in `site_folder` takes precedence, and may extend the packaged
    one to change single blocks. Text and numbers are quoted for the shell where they are
    inserted, a list or tuple becomes quoted words; Jinja's `| safe` leaves shell code unchanged.
    """

    def __init__(self, package: str, site_folder: Path | None) -> None:
        folders: list[BaseLoader] = [PackageLoader("reflow.executors.batch")]
        with contextlib.suppress(ValueError):  # a backend need not have templates
            folders.insert(0, PackageLoader(package))
        packaged = ChoiceLoader(folders)
        loaders: list[BaseLoader] = [PrefixLoader({PACKAGED: packaged}), packaged]
        if site_folder is not None:
            loaders.insert(0, FileSystemLoader(site_folder))
        # Autoescape marks the output of a parent template's block as shell code; the
        # quoting itself is done by `finalize`, so that markup characters are not changed.
        self._environment = Environment(
            loader=ChoiceLoader(loaders),
            undefined=StrictUndefined,
            autoescape=True,
            finalize=_finalize,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._environment.filters["comment"] = comment

    def render(self, name: str, variables: Mapping[str, Any]) -> str:
        """Render a script. Raises `ConfigError` with file and line where a template is wrong."""
        try:
            return self._environment.get_template(name).render(variables)
        except TemplateError as error:
            where = getattr(error, "filename", None) or name
            line = getattr(error, "lineno", None)
            raise ConfigError(
                f"the job template {where} cannot be rendered"
                f"{f' (line {line})' if line else ''}: {error}"
            ) from error


def comment(text: object) -> Markup:
    """Write text for a comment: on one line, without control characters."""
    shown = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return Markup(shown)  # noqa: S704 - a shell script, not a page


def shell_code(lines: Iterable[str]) -> Markup:
    """Mark lines as shell code that is inserted unquoted."""
    return Markup("\n".join(lines))  # noqa: S704 - a shell script, not a page


@pass_context  # otherwise constants would not be passed here, but escaped as markup when compiled
def _finalize(context: Context, value: object) -> Markup:
    return _quoted(value)


def _quoted(value: object) -> Markup:
    if isinstance(value, Markup):
        return value
    if isinstance(value, Undefined):
        str(value)  # raises an error that names the variable
    if isinstance(value, str | int | float | Path) and not isinstance(value, bool):
        return Markup(shlex.quote(str(value)))  # noqa: S704 - a shell script, not a page
    if isinstance(value, Sequence):
        return Markup(" ").join(_quoted(item) for item in value)
    raise TemplateError(f"a script cannot hold {value!r}; test for it with {{% if %}}")
