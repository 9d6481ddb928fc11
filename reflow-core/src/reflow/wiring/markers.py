"""The markers in a task's signature: `Param`, `Pickled`, `Result` and `RunDir`.

They are plain classes, as `import reflow` must stay cheap and dataclasses are not.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from reflow.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TypeAlias

    Step: TypeAlias = str | Callable[..., Any]
    """A task, by its name or by its function."""


class Param:
    """Says more about a run parameter: `Annotated[str, Param(help="First day", short="-s")]`.

    `short` is a one-letter flag, with or without its dash. A parameter is shared by all tasks
    that have an argument of its name, unless `namespace` is `"local"`: a local parameter `x` of
    task `t` is `t_x=` in Python and `--t-x` on the command line. `output=True` says that the task
    writes to the path it is given: what is there does not count as an input. `each=True` makes the
    parameter of an array task a list of the annotated type, one item for each element. Raises
    `DefinitionError` for values that mean nothing.
    """

    __slots__ = ("each", "help", "namespace", "output", "short")

    def __init__(
        self,
        *,
        help: str = "",
        short: str | None = None,
        namespace: Literal["global", "local"] = "global",
        output: bool = False,
        each: bool = False,
    ) -> None:
        if not isinstance(help, str):
            raise DefinitionError(f"Param(help=...) takes a text, not {help!r}")
        if namespace not in ("global", "local"):
            raise DefinitionError(
                f"Param(namespace={namespace!r}): write namespace='global' or namespace='local'"
            )
        self.help = help
        self.short = None if short is None else _flag(short)
        self.namespace = namespace
        self.output = _yes_or_no("Param", "output", output)
        self.each = _yes_or_no("Param", "each", each)

    def __repr__(self) -> str:
        more = ", output=True" if self.output else ""
        more += ", each=True" if self.each else ""
        return (
            f"Param(help={self.help!r}, short={self.short!r}, namespace={self.namespace!r}{more})"
        )


class Pickled:
    """Lets values be pickled that reflow cannot store: `-> Annotated[Forest, Pickled()]`.

    They are read back only where an annotation says so, of the task that takes them or of the one
    that made them, and only by the user who pickled them: to unpickle a value is to run what is in
    its file.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Pickled()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pickled)

    def __hash__(self) -> int:
        return hash(Pickled)


class Result:
    """Wires an argument to earlier tasks: `Annotated[str, Result(step="prepare")]`.

    A task is named, or given as its function (`step=prepare`), which editors can follow.
    `steps=[...]` concatenates what several tasks return. With `broadcast=True` every element of
    an array task gets the whole value. `output=True` is for paths that the task writes to: what is
    there does not count as an input. `allow_failed=True` gathers what succeeded of an array task,
    if at least `min_success` did: a share such as 0.9, or a number of elements; without it, one.
    `per="split"` gives each element of an array task a list of its own: what came from one element
    of the array task `split`.
    Raises `DefinitionError` unless exactly one of `step` and `steps` names tasks, and for values
    that mean nothing.
    """

    __slots__ = ("allow_failed", "broadcast", "min_success", "output", "per", "steps")

    def __init__(
        self,
        *,
        step: Step | None = None,
        steps: Sequence[Step] | None = None,
        broadcast: bool = False,
        output: bool = False,
        allow_failed: bool = False,
        min_success: float | int | None = None,
        per: Step | None = None,
    ) -> None:
        if (step is None) == (steps is None):
            raise DefinitionError(
                "Result takes either step or steps: write Result(step='prepare') "
                "or Result(steps=['left', 'right'])"
            )
        self.steps = _one_name(step) if steps is None else _several_names(steps)
        self.broadcast = _yes_or_no("Result", "broadcast", broadcast)
        self.output = _yes_or_no("Result", "output", output)
        self.allow_failed = _yes_or_no("Result", "allow_failed", allow_failed)
        self.min_success = _share_or_number(min_success)
        self.per = None if per is None else _task_of_groups(per)
        if per is not None and (broadcast or len(self.steps) > 1):
            raise DefinitionError(
                f"Result(per={_shown(per)}) is for one step, without broadcast=True"
            )
        if min_success is not None and not allow_failed:
            raise DefinitionError(
                f"Result(min_success={min_success!r}) needs allow_failed=True beside it"
            )

    def __repr__(self) -> str:
        steps = ", ".join(map(_shown, self.steps))
        named = f"step={steps}" if len(self.steps) == 1 else f"steps=[{steps}]"
        more = ", output=True" if self.output else ""
        more += "" if self.per is None else f", per={_shown(self.per)}"
        more += ", allow_failed=True" if self.allow_failed else ""
        more += "" if self.min_success is None else f", min_success={self.min_success!r}"
        return f"Result({named}, broadcast={self.broadcast!r}{more})"


if TYPE_CHECKING:

    class RunDir(Path):
        """To a type checker an argument marked as `RunDir` is the path that it receives."""

        def __init__(self) -> None: ...

        # A path joined to it is an ordinary path.
        def __truediv__(self, key: str | os.PathLike[str]) -> Path: ...  # type: ignore[override]

else:

    class RunDir:
        """Asks for the run directory: `run_dir: RunDir = RunDir()`; the function gets a `Path`.

        Called directly, as in a test, a function that leaves the argument at its default works in
        the current directory: the marker then does whatever `Path.cwd()` does.
        """

        __slots__ = ()

        def __fspath__(self) -> str:
            return os.getcwd()  # noqa: PTH109 - pathlib is only loaded where it is needed

        def __str__(self) -> str:
            return self.__fspath__()

        def __truediv__(self, other: str | os.PathLike[str]) -> Path:
            return _current_directory() / other

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                # Copying, pickling and the like apply to the marker, not the path.
                raise AttributeError(name)
            return getattr(_current_directory(), name)

        def __repr__(self) -> str:
            return "RunDir()"


def _current_directory() -> Path:
    from pathlib import Path

    return Path.cwd()


def _flag(short: str) -> str:
    letter = short.removeprefix("-") if isinstance(short, str) else ""
    if len(letter) != 1 or not (letter.isascii() and letter.isalpha()):
        raise DefinitionError(f"Param(short={short!r}): write one letter, such as short='-s'")
    return f"-{letter}"


def _yes_or_no(marker: str, name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise DefinitionError(f"{marker}({name}={value!r}): write True or False")
    return value


def _task_of_groups(per: object) -> Step:
    if not _is_step(per):
        raise DefinitionError(f"Result(per={per!r}) takes the name or function of an array task")
    return per


def _share_or_number(value: object) -> float | int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    is_share = isinstance(value, float) and 0 <= value <= 1
    if value is not None and not is_number and not is_share:
        raise DefinitionError(
            f"Result(min_success={value!r}): write a share from 0.0 to 1.0, or a number of elements"
        )
    return value  # type: ignore[return-value]


def _is_step(step: object) -> TypeGuard[Step]:
    return isinstance(step, str) or (callable(step) and not isinstance(step, type))


def _shown(step: Step) -> str:
    """Return a step as users write it: `'prepare'`, or `prepare` for the function."""
    return repr(step) if isinstance(step, str) else getattr(step, "__name__", repr(step))


def _one_name(step: object) -> tuple[Step, ...]:
    if not _is_step(step):
        raise DefinitionError(
            f"Result(step={step!r}) takes the name of a task, or its function; for several write "
            "steps=[...]"
        )
    return (step,)


def _several_names(steps: object) -> tuple[Step, ...]:
    if not isinstance(steps, list | tuple) or not all(map(_is_step, steps)):
        raise DefinitionError(f"Result(steps={steps!r}) takes a list of task names or functions")
    if not steps:
        raise DefinitionError("Result(steps=[]) names no task")
    if len(set(map(id, steps))) < len(steps) or len(set(steps)) < len(steps):
        raise DefinitionError(f"Result(steps={list(steps)!r}) names a task twice")
    return tuple(steps)
