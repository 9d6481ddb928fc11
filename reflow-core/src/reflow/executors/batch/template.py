"""Rendering job scripts. Whatever a template puts in is quoted for the shell."""

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
"""What a site's template extends: `{% extends "packaged/pond.sh.j2" %}`."""


class ScriptTemplates:
    """The templates of one backend, and those with which a site overrides them.

    A template of the same name in `site_folder` wins, and may extend the packaged one to change
    single blocks. Text and numbers are quoted for the shell where they are put in, a list or
    tuple becomes quoted words; `| safe`, Jinja's own word, leaves shell code as it is.
    """

    def __init__(self, package: str, site_folder: Path | None) -> None:
        folders: list[BaseLoader] = [PackageLoader("reflow.executors.batch")]
        with contextlib.suppress(ValueError):  # a backend need not have templates
            folders.insert(0, PackageLoader(package))
        packaged = ChoiceLoader(folders)
        loaders: list[BaseLoader] = [PrefixLoader({PACKAGED: packaged}), packaged]
        if site_folder is not None:
            loaders.insert(0, FileSystemLoader(site_folder))
        # Autoescape marks what a block of a parent template gave as shell code already; the
        # quoting itself is done by `finalize`, so that markup characters stay what they are.
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
    """Text for the rest of a comment line: one line, nothing that a terminal would act on."""
    shown = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return Markup(shown)  # noqa: S704 - a shell script, not a page


def shell_code(lines: Iterable[str]) -> Markup:
    """Lines that go into the script as they are."""
    return Markup("\n".join(lines))  # noqa: S704 - a shell script, not a page


@pass_context  # or else constants would not come here, but be escaped as markup when compiled
def _finalize(context: Context, value: object) -> Markup:
    return _quoted(value)


def _quoted(value: object) -> Markup:
    if isinstance(value, Markup):
        return value
    if isinstance(value, Undefined):
        str(value)  # raises, and says which name it is
    if isinstance(value, str | int | float | Path) and not isinstance(value, bool):
        return Markup(shlex.quote(str(value)))  # noqa: S704 - a shell script, not a page
    if isinstance(value, Sequence):
        return Markup(" ").join(_quoted(item) for item in value)
    raise TemplateError(f"a script cannot hold {value!r}; test for it with {{% if %}}")
