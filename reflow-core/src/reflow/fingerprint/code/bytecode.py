"""A description of compiled code, as JSON.

It replaces source where there is none, and tells whether a function that was loaded is still the
one in its file.
"""

from __future__ import annotations

from types import CodeType

from reflow.model.json import Json


def describe_code(code: CodeType) -> Json:
    """Return everything that decides what the code does; not its position in a file."""
    return [
        code.co_name,
        code.co_flags,
        [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount],
        code.co_code.hex(),
        [_describe_constant(constant) for constant in code.co_consts],
        list(code.co_names),
        [list(code.co_varnames), list(code.co_freevars), list(code.co_cellvars)],
        code.co_exceptiontable.hex(),
    ]


def names_used(code: CodeType) -> set[str]:
    """Return names that the code, or code inside it, looks up outside itself, attributes too."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= names_used(constant)
    return names


def _describe_constant(constant: object) -> Json:
    if isinstance(constant, CodeType):
        return describe_code(constant)
    if isinstance(constant, tuple):
        return [_describe_constant(item) for item in constant]
    if isinstance(constant, frozenset):
        return {"set": [*sorted(map(repr, constant))]}
    return hex(constant) if type(constant) is int else repr(constant)
