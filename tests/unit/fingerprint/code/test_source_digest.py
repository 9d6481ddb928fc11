from __future__ import annotations

import functools
import importlib
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reflow.fingerprint.code.digest import Survey

from tests.unit.fingerprint.code.projects import Digests, loaded, source_digest, write


@pytest.fixture
def digest(tmp_path: Path) -> Digests:
    return Digests(tmp_path)


# -- the function itself ------------------------------------------------------------------------
PLAIN = """
    def task(x, y=1):
        total = x + y
        return [total, 'a']
"""


@pytest.mark.parametrize(
    "cosmetic",
    [
        '''
        """A module."""
        # a comment
        import os  # unused

        def task(
            x,
            y = 1,
        ):
            """What it does."""
            # how
            total = (x
                     + y)

            return [total, "a"]
        ''',
        """
        def other(): return 1
        OTHER = 3
        def task(x, y=1):
            "doc"
            total = x + y; return [total, 'a']
        class Unused: pass
        """,
        """
        def task(x, y=0x1):
            pass
            total = x + y
            "a string that does nothing"
            return [total, 'a',]
        if "__main__" == __name__:
            print(task)
        """,
    ],
)
def test_comments_docstrings_formatting_and_unrelated_code_do_not_count(
    digest: Digests, cosmetic: str
) -> None:
    assert digest(cosmetic) == digest(PLAIN)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x + y", "x - y"),
        ("y=1", "y=2"),
        ("y=1", "y=True"),
        ("y=1", "y=1.0"),
        ("y=1", "*, y=1"),
        ("(x, y=1)", "(x, z=1, y=1)"),
        ("(x, y=1)", "(x: int, y=1)"),
        ("(x, y=1):", "(x, y=1) -> list:"),
        ("'a'", "b'a'"),
        ("[total, 'a']", "(total, 'a')"),
        ("def task", "async def task"),
    ],
)
def test_what_the_function_says_counts(digest: Digests, old: str, new: str) -> None:
    assert digest(PLAIN.replace(old, new)) != digest(PLAIN)


def test_a_quoted_annotation_counts_like_one_without_quotes(digest: Digests) -> None:
    assert digest("def task(x: 'list[int]'): ...") == digest("def task(x: list[int]): ...")


# -- what reflow alone reads ----------------------------------------------------------------------
TASK = """
    from typing import Annotated
    from reflow import Param, Result, RunDir, Workflow
    wf = Workflow("w")

    @wf.job(cpus=1)
    def task(x: Annotated[int, Param(help="How many")], run_dir: RunDir = RunDir()) -> int:
        return x
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cpus=1", 'cpus=4, time="01:00:00", mem="8G", retries=2'),
        ("@wf.job(cpus=1)", "@wf.array_job()"),
        ("@wf.job(cpus=1)", "@flow.job()"),
        ('help="How many"', 'help="How many of them", short="-x"'),
        ('Annotated[int, Param(help="How many")]', "int"),
        ('Annotated[int, Param(help="How many")]', "Annotated[int, Param(output=True)]"),
        ('Param(help="How many")', 'Result(step="before")'),
        ('Workflow("w")', 'Workflow("v")'),
    ],
)
def test_what_reflow_alone_reads_does_not_count(digest: Digests, old: str, new: str) -> None:
    other = TASK.replace(old, new).replace("import Param", "import Flow, Param")
    other = other.replace('wf = Workflow("w")\n', 'wf = Workflow("w"); flow = Flow("f")\n')
    assert digest(other) == digest(TASK)


def test_the_type_inside_annotated_counts(digest: Digests) -> None:
    assert digest(TASK.replace("Annotated[int", "Annotated[str")) != digest(TASK)


def test_metadata_that_is_not_reflows_counts(digest: Digests) -> None:
    strangers = TASK.replace("import Param, ", "import ").replace(
        "wf = ", "class Param:\n        def __init__(self, **given): pass\n    wf = "
    )
    assert digest(strangers) != digest(strangers.replace("How many", "How few"))


def test_other_decorators_count_with_their_arguments(digest: Digests) -> None:
    flow = """
        import functools
        def scaled(factor):
            def decorate(function):
                @functools.wraps(function)
                def scaled_function(x):
                    return function(x) * factor
                return scaled_function
            return decorate

        @scaled(2)
        def task(x):
            return x + 1
    """
    assert len({digest(flow), digest(flow.replace("scaled(2)", "scaled(3)"))}) == 2
    assert digest(flow) != digest(flow.replace("* factor", "** factor"))
    assert digest(flow) != digest(flow.replace("x + 1", "x + 2"))


def test_a_job_method_of_a_stranger_counts(digest: Digests) -> None:
    flow = """
        class Scheduler:
            def job(self, factor):
                return lambda function: function
        mine = Scheduler()
        @mine.job(2)
        def task(x):
            return x
    """
    assert digest(flow) != digest(flow.replace("mine.job(2)", "mine.job(3)"))


# -- names in the same file -----------------------------------------------------------------------
NAMES = """
    import math
    from dataclasses import dataclass

    FACTOR = 2
    UNUSED = 1
    TABLE = {"a": FACTOR}
    NAMES = []
    NAMES.append("n")
    for name in NAMES:
        TABLE[name] = 0
    LIMIT: int = 10
    LIMIT += 1
    A, B = 1, 2

    def deep(x): return x * FACTOR
    def helper(x): return deep(x) + math.pi
    def even(x): return x == 0 or odd(x - 1)
    def odd(x): return x != 0 and even(x - 1)
    def unused(x): return x

    class Base:
        SHIFT = 1
        def shift(self, x): return x + self.SHIFT

    class Shape(Base):
        def area(self): return self.shift(LIMIT)

    @dataclass
    class Item:
        shape: "Shape"
        size: int = A

    def task(x: Item) -> dict:
        unused_local = [UNUSED for UNUSED in range(3)]
        inner = lambda y: helper(y) + TABLE["a"]
        def nested(z):
            return even(z)
        return {inner(i): nested(i) for i in x}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("FACTOR = 2", "FACTOR = 3"),
        ("FACTOR = 2", "FACTOR = 2.0"),
        ("math.pi", "math.e"),
        ("import math", "import cmath as math"),
        ("return x * FACTOR", "return FACTOR * x"),
        ('"a": FACTOR', '"a": FACTOR + 1'),
        ('append("n")', 'append("m")'),
        ("TABLE[name] = 0", "TABLE[name] = 1"),
        ("odd(x - 1)", "odd(x - 2)"),
        ("x != 0", "x > 0"),
        ("LIMIT: int = 10", "LIMIT: int = 11"),
        ("LIMIT += 1", "LIMIT += 2"),
        ("A, B = 1, 2", "A, B = 2, 2"),
        ("SHIFT = 1", "SHIFT = 2"),
        ("x + self.SHIFT", "x - self.SHIFT"),
        ("self.shift(LIMIT)", "self.shift(LIMIT + 1)"),
        ("class Shape(Base)", "class Shape(Base, object)"),
        ("size: int = A", "size: float = A"),
        ("@dataclass", "@dataclass(frozen=True)"),
        ("even(z)", "odd(z)"),
    ],
)
def test_what_the_function_names_counts_however_far_it_leads(
    digest: Digests, old: str, new: str
) -> None:
    assert old in NAMES
    assert digest(NAMES.replace(old, new)) != digest(NAMES)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("UNUSED = 1", "UNUSED = 2"),
        ("def unused(x): return x", "def unused(x): return -x"),
        ("for name in NAMES", "for  name  in  NAMES"),
        ("class Base:", 'class Base:\n        """Doc."""\n'),
        ("def deep(x): return", "def deep(x):\n        'doc'\n        return"),
    ],
)
def test_what_the_function_does_not_name_does_not_count(
    digest: Digests, old: str, new: str
) -> None:
    assert old in NAMES
    assert digest(NAMES.replace(old, new)) == digest(NAMES)


def test_a_local_variable_does_not_stand_for_the_global_of_its_name(digest: Digests) -> None:
    flow = """
        data = 1
        def task(x):
            data = x
            return data.data
    """
    assert digest(flow) == digest(flow.replace("data = 1", "data = 2"))


def test_a_global_used_inside_counts_although_a_nested_function_has_a_local_of_its_name(
    digest: Digests,
) -> None:
    flow = """
        data = 1
        def task(x):
            def inner():
                data = 3
                return data
            return data + inner()
    """
    assert digest(flow) != digest(flow.replace("data = 1", "data = 2"))


def test_a_class_body_that_takes_over_a_global_uses_it(digest: Digests) -> None:
    flow = """
        LIMIT = 1
        class Box:
            LIMIT = LIMIT
        def task(x):
            return Box.LIMIT
    """
    assert digest(flow) != digest(flow.replace("LIMIT = 1", "LIMIT = 2"))


def test_a_class_changed_from_outside_counts(digest: Digests) -> None:
    flow = """
        class Box: pass
        Box.limit = 1
        def task(x):
            return Box.limit
    """
    assert digest(flow) != digest(flow.replace("limit = 1", "limit = 2"))


def test_functions_registered_with_a_decorator_count(digest: Digests) -> None:
    flow = """
        from functools import singledispatch
        READERS = {}
        def reader(function):
            READERS[function.__name__] = function
            return function

        @reader
        def csv(x): return 1

        @singledispatch
        def show(x): return "x"

        @show.register
        def show_int(x: int): return "int"

        def task(x):
            return READERS[x](x), show(x)
    """
    assert digest(flow) != digest(flow.replace("return 1", "return 2"))
    assert digest(flow) != digest(flow.replace('"int"', '"INT"'))


def test_a_function_made_by_a_factory_counts_with_what_it_was_given(digest: Digests) -> None:
    flow = """
        def adder(n):
            def add(x): return x + n
            return add
        VALUES = [1]
        add = adder(VALUES[0])
        def task(x): return add(x)
    """
    assert digest(flow) != digest(flow.replace("VALUES = [1]", "VALUES = [2]"))
    assert digest(flow) != digest(flow.replace("x + n", "x - n"))


def test_a_constant_that_is_computed_counts_by_its_value(digest: Digests) -> None:
    flow = """
        import os
        def root(): return os.environ.get("NO_SUCH_VARIABLE", "/a")
        ROOT = root()
        def task(x): return ROOT
    """
    assert digest(flow) == digest(flow.replace("= root()", "= max(['/a'])"))
    assert digest(flow) != digest(flow.replace('"/a"', '"/b"'))


# -- modules beside the flow ----------------------------------------------------------------------
HELPERS = """
    import json
    LIMIT = 1
    def used(x): return limited(x)
    def limited(x): return min(x, LIMIT)
    def unused(x): return json.dumps(x)
"""


@pytest.mark.parametrize(
    "flow",
    [
        "import helpers\ndef task(x): return helpers.used(x)",
        "import helpers as h\ndef task(x): return h.used(x)",
        "from helpers import used\ndef task(x): return used(x)",
        "from helpers import used as u\ndef task(x): return u(x)",
        "from helpers import *\ndef task(x): return used(x)",
        "def task(x):\n    import helpers\n    return helpers.used(x)",
        "def task(x):\n    from helpers import used as u\n    return u(x)",
        "try:\n    import helpers\nexcept ImportError:\n    helpers = None\n"
        "def task(x): return helpers.used(x)",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from helpers import used\n"
        "def task(x: 'used'): return x",
    ],
)
def test_what_a_module_beside_the_flow_gives_counts_and_nothing_else_of_it(
    digest: Digests, flow: str
) -> None:
    before = digest(flow, helpers=HELPERS)
    assert digest(flow, helpers=HELPERS.replace("LIMIT = 1", "LIMIT = 2")) != before
    assert digest(flow, helpers=HELPERS.replace("min(", "max(")) != before
    assert digest(flow, helpers=HELPERS.replace("json.dumps(x)", "json.loads(x)")) == before
    assert digest(flow, helpers="# moved\n" + textwrap.dedent(HELPERS)) == before


@pytest.mark.parametrize(
    "flow",
    [
        "import helpers\ndef task(x): return run(helpers, x)\ndef run(m, x): return m.used(x)",
        "import helpers\ndef task(x): return getattr(helpers, x)(x)",
    ],
)
def test_a_module_passed_about_counts_whole(digest: Digests, flow: str) -> None:
    before = digest(flow, helpers=HELPERS)
    assert digest(flow, helpers=HELPERS.replace("json.dumps(x)", "json.loads(x)")) != before
    assert digest(flow, helpers=HELPERS + "    # comment\n") == before


@pytest.mark.parametrize(
    "flow",
    [
        "import pkg\ndef task(x): return pkg.used(x)",
        "from pkg import used\ndef task(x): return used(x)",
        "import pkg.inner.impl\ndef task(x): return pkg.inner.impl.used(x)",
        "import pkg.inner.impl as impl\ndef task(x): return impl.used(x)",
        "from pkg.inner import impl\ndef task(x): return impl.used(x)",
        "from pkg import inner\ndef task(x): return inner.impl.used(x)",
        "def task(x):\n    from pkg.inner.impl import used\n    return used(x)",
    ],
)
@pytest.mark.parametrize("marked_as_package", [True, False])
def test_packages_are_followed_through_whatever_they_pass_on(
    digest: Digests, flow: str, marked_as_package: bool
) -> None:
    def of(factor: int, other: int = 0) -> str:
        inner = {"pkg__inner__": "from . import impl\n"} if marked_as_package else {}
        return digest(
            flow,
            pkg__="from .inner.impl import used\nfrom . import inner\n",
            pkg__inner__impl="from ..numbers import FACTOR\ndef used(x): return x * FACTOR",
            pkg__numbers=f"FACTOR = {factor}\nOTHER = {other}",
            **inner,
        )

    assert of(1) != of(2)
    assert of(1) == of(1, other=2)


def test_modules_that_import_from_each_other_are_no_trouble(digest: Digests) -> None:
    flow = "from one import f\ndef task(x): return f(x)"

    def of(limit: int) -> str:
        return digest(
            flow,
            one="LIMIT = 1\ndef f(x):\n    from two import g\n    return g(x)",
            two=f"import one\nfrom one import LIMIT\nM = {limit}\ndef g(x): return one.f(M), LIMIT",
        )

    assert of(1) != of(2)


def test_names_that_change_places_count(digest: Digests) -> None:
    helpers = "def f(x): return 1\ndef g(x): return 2"
    body = "\ndef task(x): return f(x) - g(x)"
    straight = digest("from helpers import f, g" + body, helpers=helpers)
    crossed = digest("from helpers import f as g, g as f" + body, helpers=helpers)
    assert straight != crossed


def test_a_class_from_another_module_counts_with_its_bases(digest: Digests) -> None:
    flow = "from shapes import Square\ndef task(x: Square): return x.area()"

    def of(power: int) -> str:
        return digest(
            flow,
            bases=f"class Shape:\n    def area(self): return self.side ** {power}",
            shapes="import bases\nclass Square(bases.Shape):\n    side = 2",
        )

    assert of(2) != of(3)


def test_a_compiled_module_beside_the_flow_counts_by_its_content(tmp_path: Path) -> None:
    flow = "def task(x):\n    import fast\n    return fast.f(x)"

    def of(content: bytes) -> str:
        folder = write(tmp_path / content.decode(), {"flow.py": flow})
        (folder / "fast.so").write_bytes(content)
        with loaded(folder / "flow.py") as module:
            return source_digest(module.task)

    assert of(b"one") != of(b"two")


def test_a_module_that_cannot_be_parsed_counts_by_its_content(digest: Digests) -> None:
    flow = "def task(x):\n    import broken\n    return broken.f(x)"
    assert digest(flow, broken="def f(") != digest(flow, broken="def g(")


@pytest.mark.parametrize("place", ["site-packages", "venv/lib/python3.11/site-packages"])
def test_what_is_installed_does_not_count_even_below_the_flow(tmp_path: Path, place: str) -> None:
    flow = f"""
        import sys
        sys.path.insert(0, {str(place)!r})
        import installed_thing
        def task(x): return installed_thing.f(x)
    """

    def of(number: int) -> str:
        folder = tmp_path / str(number)
        thing = f"def f(x): return {number}"
        write(folder, {"flow.py": flow, f"{place}/installed_thing.py": thing})
        os.chdir(folder)
        try:
            with loaded(folder / "flow.py") as module:
                return source_digest(module.task)
        finally:
            sys.path.remove(place)

    assert of(1) == of(2)


@pytest.mark.parametrize("flow_file", [True, False])
def test_what_lies_beside_the_flow_counts_for_a_function_from_a_folder_below(
    tmp_path: Path, flow_file: bool
) -> None:
    def of(number: int) -> str:
        folder = tmp_path / str(number)
        write(
            folder,
            {
                "flow.py": "from tasks.a import task",
                "common.py": f"N = {number}",
                "tasks/a.py": "from common import N\ndef task(x): return N",
            },
        )
        with loaded(folder / "flow.py") as module:
            return source_digest(module.task, folder / "flow.py" if flow_file else None)

    assert of(1) != of(2)


def test_a_flow_inside_a_package_has_the_package_beside_it(tmp_path: Path) -> None:
    def of(number: int) -> str:
        folder = tmp_path / str(number)
        write(
            folder,
            {
                "pipe/__init__.py": "",
                "pipe/flow.py": "from . import parts\ndef task(x): return parts.N",
                "pipe/parts.py": f"N = {number}",
            },
        )
        sys.path.insert(0, str(folder))
        try:
            return source_digest(importlib.import_module("pipe.flow").task)
        finally:
            sys.path.remove(str(folder))
            for name in [name for name in sys.modules if name.startswith("pipe")]:
                del sys.modules[name]

    assert of(1) != of(2)


def test_a_module_imported_by_a_function_counts_the_same_before_and_after(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {
            "flow.py": """
                def task(x):
                    import late
                    return late.STEPS[0](x), late.wrapped(x)
            """,
            "late.py": """
                import functools
                def one(x): return x
                STEPS = [one]
                @functools.lru_cache
                def wrapped(x): return x
            """,
        },
    )
    with loaded(folder / "flow.py") as module:
        before = source_digest(module.task)
        module.task(1)
        assert source_digest(module.task) == before


# -- processes ------------------------------------------------------------------------------------


# -- files edited after they were loaded ----------------------------------------------------------
EDITED = """
    FACTOR = 2
    LIST = [1]
    def helper(x): return x * FACTOR
    def other(x): return -x
    def task(x): return helper(x)
"""


@pytest.fixture
def editing(tmp_path: Path) -> Callable[[str, str], tuple[str, str]]:
    """Digest of a task loaded before an edit, as it was and now."""

    def edit(old: str, new: str) -> tuple[str, str]:
        flow = write(tmp_path, {"flow.py": EDITED}) / "flow.py"
        with loaded(flow) as module:
            text = flow.read_text()
            assert old in text
            flow.write_text(text.replace(old, new))
            now = source_digest(module.task)
        with loaded(flow) as module:
            after = source_digest(module.task)
        return now, after

    return edit


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("FACTOR = 2", "FACTOR = 3"),
        ("x * FACTOR", "x + FACTOR"),
        ("return helper(x)", "return helper(-x)"),
    ],
)
def test_an_edit_after_loading_is_seen_and_what_was_loaded_counts(
    editing: Any, old: str, new: str
) -> None:
    loaded_before_edit, of_the_new_file = editing(old, new)
    assert loaded_before_edit != of_the_new_file


@pytest.mark.parametrize(
    ("old", "new"),
    [("return -x", "return +x"), ("def other", "# a comment\n\ndef other")],
)
def test_an_edit_after_loading_of_what_the_task_does_not_use_changes_nothing(
    editing: Any, old: str, new: str
) -> None:
    loaded_before_edit, of_the_new_file = editing(old, new)
    assert loaded_before_edit == of_the_new_file


def test_a_digest_describes_the_code_it_was_first_asked_about(tmp_path: Path) -> None:
    flow = write(tmp_path, {"flow.py": EDITED}) / "flow.py"
    with loaded(flow) as module:
        before = source_digest(module.task)
        flow.write_text(flow.read_text().replace("LIST = [1]", "LIST = [2]").replace("-x", "x"))
        flow.write_text(flow.read_text().replace("x * FACTOR", "x + FACTOR"))
        assert source_digest(module.task) == before
        assert source_digest(module.other) != before
    with loaded(flow) as module:
        assert source_digest(module.task) != before


def test_a_helper_loaded_anew_counts_as_it_is_now(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {
            "flow.py": "import helper_of_mine\ndef task(x): return helper_of_mine.TABLE[x]",
            "helper_of_mine.py": "TABLE = dict(a=1)",
        },
    )
    with loaded(folder / "flow.py") as module:
        before = source_digest(module.task)
        (folder / "helper_of_mine.py").write_text("TABLE = dict(a=22)")
        assert source_digest(module.task) == before
        importlib.reload(module.helper_of_mine)
        assert source_digest(module.task) != before


def test_a_function_replaced_by_another_counts_as_the_other(tmp_path: Path) -> None:
    flow = write(tmp_path, {"flow.py": EDITED}) / "flow.py"
    with loaded(flow) as module:
        before = source_digest(module.task)
        module.__dict__["helper"] = lambda x: x
        other = source_digest(module.task)
        module.__dict__["helper"] = len
        assert len({before, other, source_digest(module.task)}) == 3


# -- functions without a file, and other callables ------------------------------------------------
def executed(code: str, **names: Any) -> Any:
    exec(textwrap.dedent(code), names)
    return names["task"]


def test_a_function_without_source_counts_by_its_code_and_what_it_refers_to() -> None:
    code = "K = 1\ndef helper(x): return x + K\ndef task(x, y=[2]): return helper(x) * y[0]"
    before = source_digest(executed(code))
    assert source_digest(executed("# comment\n\n" + code)) == before
    for old, new in (("K = 1", "K = 2"), ("x + K", "x - K"), ("[2]", "[3]"), ("* y", "/ y")):
        assert source_digest(executed(code.replace(old, new))) != before


def test_a_closure_counts_by_the_values_in_it() -> None:
    def make(factor: Any, other: Any = None) -> Any:
        def task(x: Any) -> Any:
            return x * factor

        return task

    values: list[Any] = [
        1, 1.0, True, "1", b"1", None, (1,), [1], {1}, frozenset({1}), {1: 2}, {"a": 1, "b": 2},
        {"b": 2, "a": 1}, Path("a"), Path("b"), functools.partial(max, 1), max, min, make(1),
        make(2), Path, 10**5000, float("nan"), "\ud800", lambda x: x, lambda x: x + 1,
    ]  # fmt: skip
    digests = [source_digest(make(value)) for value in values]
    assert len(set(digests)) == len(digests)
    assert digests == [source_digest(make(value, other="not used")) for value in values]


def test_a_closure_over_itself_or_over_what_cannot_be_copied_is_no_trouble() -> None:
    def make(value: Any) -> Any:
        def task(x: Any) -> Any:
            return task(x), value

        return task

    circle: list[Any] = []
    circle.append(circle)
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    for value in (circle, deep, sys, iter([]), open(os.devnull), object()):  # noqa: PTH123, SIM115
        assert source_digest(make(value)) == source_digest(make(value))
        if hasattr(value, "close"):
            value.close()


def test_a_closure_over_what_answers_no_question_is_no_trouble() -> None:
    class Unhelpful:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

    proxy = Unhelpful()

    def task() -> Any:
        return proxy

    assert source_digest(task) == source_digest(task)


def test_functions_made_on_one_line_are_told_apart() -> None:
    one, two = (lambda x: x + 1), (lambda x: x + 2)
    assert source_digest(one) != source_digest(two)


class Scaling:
    """A class with a method to be used as a task."""

    factor = 2

    def method(self, x: int) -> int:
        return x * self.factor

    def __call__(self, x: int) -> int:
        return x


@pytest.mark.parametrize(
    "function",
    [
        len,
        print,
        os.path.join,
        functools.partial(len, "x"),
        Scaling().method,
        Scaling.method,
        Scaling(),
        Scaling,
        functools.lru_cache(os.path.join),
        sys.stdout.write,
    ],
    ids=lambda function: type(function).__name__,
)
def test_anything_that_can_be_called_has_a_digest(function: Any) -> None:
    assert source_digest(function) == source_digest(function)
    assert len(source_digest(function)) == 64


def test_a_wrapper_from_elsewhere_counts_with_the_function_inside(digest: Digests) -> None:
    flow = """
        import contextlib, functools
        @contextlib.contextmanager
        def task(x):
            yield x + 1
        @functools.lru_cache(maxsize=None)
        def cached(x):
            return x + 1
    """
    assert digest(flow) != digest(flow.replace("yield x + 1", "yield x + 2"))
    assert digest(flow, task="cached") != digest(
        flow.replace("return x + 1", "return x + 2"), task="cached"
    )


# -- scopes -------------------------------------------------------------------------------------
LOCALS = {
    "a parameter": "def task(x): return x",
    "a parameter of a task inside an if": "if True:\n    def task(x): return x",
    "a parameter of a method": "class C:\n    def m(self, x): return x\ndef task(): return C()",
    "a lambda's parameter": "if True:\n    f = lambda x: x\ndef task(): return f",
    "a comprehension's variable": "L = [x for x in 'ab']\ndef task(): return L",
    "one of a nested comprehension": "L = [[x for x in y] for y in 'ab']\ndef task(): return L",
    "a walrus": "if True:\n    def task():\n        if (x := 1): return x",
    "a walrus in a comprehension": "def task(): return [x := 1 for _ in 'ab'], x",
    "a capture": "if True:\n    def task(a):\n        match a:\n            case [x, *_]: return x",
    "a captured rest": "def task(a):\n    match a:\n        case {'k': 1, **x}: return x",
    "an exception's name": "E = OSError\ndef task():\n    try: ...\n    except E as x: return x",
    "a class's own name": "class C:\n    x = 1\n    y = x\ndef task(): return C",
    "one of a function around": "def f(x):\n    def task(): return x\n    return task\ntask = f(1)",
}


@pytest.mark.parametrize("flow", LOCALS.values(), ids=LOCALS.keys())
def test_a_local_name_does_not_stand_for_what_the_main_guard_sets(
    digest: Digests, tmp_path: Path, flow: str
) -> None:
    def as_a_script(value: object) -> str:
        folder = write(tmp_path / f"script{value}", {"flow.py": flow})
        with loaded(folder / "flow.py") as module:
            vars(module)["x"] = value  # as a main guard does
            return source_digest(module.task)

    assert digest(flow) == as_a_script(1) == as_a_script(2)


GLOBALS = {
    "a default": "def task(x=x): return 1",
    "a comprehension's first iterable": "def task(): return [x for x in [*x]]",
    "a declared global": "def task():\n    global x\n    return x",
    "a class body before it binds the name": "class C:\n    y = x\n    x = 1\ndef task(): return C",
    "a method beside a class attribute": (
        "class C:\n    x = 1\n    def m(self): return x\ndef task(): return C"
    ),
}


@pytest.mark.parametrize("flow", GLOBALS.values(), ids=GLOBALS.keys())
def test_a_global_behind_a_local_of_its_name_counts(digest: Digests, flow: str) -> None:
    assert digest(f"x = (1, 2)\n{flow}") != digest(f"x = (1, 3)\n{flow}")


def test_of_two_star_imports_the_last_one_wins(digest: Digests) -> None:
    def of(first: int, second: int) -> str:
        flow = "from first import *\nfrom second import *\ndef task(): return N"
        return digest(flow, first=f"N = {first}", second=f"N = {second}")

    assert of(1, 2) == of(3, 2) != of(3, 4)


# -- values made at import ----------------------------------------------------------------------
PLAIN_VALUES = {
    "text": "os.environ['SEEN']",
    "a number": "float(os.environ['SEEN'])",
    "nested": "{'a': [(1, {os.environ['SEEN']})]}",
    "a date": "datetime.date(2026, 1, int(os.environ['SEEN']))",
    "a path": "pathlib.Path(os.environ['SEEN'])",
    "an array": "numpy.arange(3) * int(os.environ['SEEN'])",
    "a number of numpy's": "numpy.float32(os.environ['SEEN'])",
    "a namespace": "types.SimpleNamespace(a=os.environ['SEEN'])",
    "a named tuple": "Pair(1, os.environ['SEEN'])",
    "a dataclass": "Setting(os.environ['SEEN'])",
    "an array in a dataclass": "Setting([numpy.ones(int(os.environ['SEEN']))])",
}
MAKING_VALUES = """
    import collections, dataclasses, datetime, os, pathlib, types
    import numpy
    Pair = collections.namedtuple("Pair", "a b")
    @dataclasses.dataclass
    class Setting:
        value: object
        def doubled(self): return 2 * self.value
    VALUE = {value}
    def task(): return VALUE
"""


@pytest.mark.parametrize("value", PLAIN_VALUES.values(), ids=PLAIN_VALUES.keys())
def test_a_value_made_at_import_counts(
    digest: Digests, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    def of(seen: str) -> str:
        monkeypatch.setenv("SEEN", seen)
        return digest(MAKING_VALUES.replace("{value}", value))

    assert of("1") == of("1")
    assert of("1") != of("2")


def test_type_shape_and_kind_of_an_array_count(digest: Digests) -> None:
    values = ("numpy.zeros(4)", "numpy.zeros((2, 2))", "numpy.zeros(8, 'f4')", "[0.0] * 4")
    assert len({digest(MAKING_VALUES.replace("{value}", value)) for value in values}) == 4


def test_the_methods_of_a_class_in_a_value_count(digest: Digests) -> None:
    flow = MAKING_VALUES.replace("{value}", "[Setting(int('1'))]")
    assert digest(flow) != digest(flow.replace("2 * self", "3 * self"))


VALUES_INSIDE = {
    "an attribute of a class": "class C:\n    n = SEEN\ndef task(): return C.n",
    "one that is bound in a block": "class C:\n    if 1: n = SEEN\ndef task(): return C.n",
    "one of a class in a class": "class C:\n    class D:\n        n = SEEN\ndef task(): return C",
    "one of a base": "class B:\n    n = SEEN\nclass C(B): pass\ndef task(): return C().n",
    "one that is set from outside": (
        "class C:\n    n = '1'\nsetattr(C, 'n', SEEN)\ndef task(): return C.n"
    ),
    "a field of a dataclass": (
        "@dataclasses.dataclass\nclass C:\n    n: str = SEEN\ndef task(): return C().n"
    ),
    "a field in slots": (
        "@dataclasses.dataclass(slots=True)\nclass C:\n    n: str = SEEN\ndef task(): return C()"
    ),
    "a field of a named tuple": (
        "class C(typing.NamedTuple):\n    n: str = SEEN\ndef task(): return C().n"
    ),
    "a member of an enumeration": (
        "class C(enum.Enum):\n    N = SEEN\ndef task(): return C.N.value"
    ),
    "a default": "def f(n=SEEN): return n\ndef task(): return f()",
    "a default by name": "def f(*, n=SEEN): return n\ndef task(): return f()",
    "a default under a decorator": (
        "@functools.lru_cache\ndef f(n=SEEN): return n\ndef task(): return f()"
    ),
    "a default of a method": (
        "class C:\n    def m(self, n=SEEN): return n\ndef task(): return C().m()"
    ),
    "a default of a method of the class": (
        "class C:\n    @classmethod\n    def m(cls, n=SEEN): return n\ndef task(): return C.m()"
    ),
    "an attribute that objects have, too": (
        "class C:\n    n = SEEN\n    def set(self): self.n = 1\ndef task(): return C.n"
    ),
}
IMPORTS = "import dataclasses, enum, functools, os, typing\n"


@pytest.mark.parametrize("flow", VALUES_INSIDE.values(), ids=VALUES_INSIDE.keys())
def test_a_value_made_at_import_inside_a_class_or_function_counts(
    digest: Digests, monkeypatch: pytest.MonkeyPatch, flow: str
) -> None:
    def of(seen: str) -> str:
        monkeypatch.setenv("SEEN", seen)
        return digest(IMPORTS + flow.replace("SEEN", "os.environ['SEEN']"))

    assert of("1") == of("1")
    assert of("1") != of("2")


MEMORIES_INSIDE = {
    "by the name of the class": "class C:\n    n = SEEN\n    def m(self): C.n = 1",
    "by its own class": "class C:\n    n = SEEN\n    @classmethod\n    def m(cls): cls.n = 1",
    "by the class of an object": "class C:\n    n = SEEN\n    def m(self): type(self).n = 1",
    "in place": "class C:\n    n = [SEEN]\n    def m(self): self.n.append(1)",
    "item by item": "class C:\n    n = {1: SEEN}\n    def m(self): self.n[1] = 1",
    "by another function": "class C:\n    n = SEEN\ndef f(): C.n = 1",
}


@pytest.mark.parametrize("flow", MEMORIES_INSIDE.values(), ids=MEMORIES_INSIDE.keys())
def test_an_attribute_that_functions_change_is_a_memory(
    digest: Digests, monkeypatch: pytest.MonkeyPatch, flow: str
) -> None:
    def of(seen: str) -> str:
        monkeypatch.setenv("SEEN", seen)
        used = "return C().m()" if "def m" in flow else "return f(), C.n"
        made = flow.replace("SEEN", "os.environ['SEEN']")
        return digest(f"{IMPORTS}{made}\ndef task(): {used}")

    assert of("1") == of("2")


def test_the_default_of_a_task_counts_as_what_the_task_is_given(
    digest: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(seen: str) -> str:
        monkeypatch.setenv("SEEN", seen)
        return digest("import os\ndef task(day=os.environ['SEEN']): return day")

    assert of("1") == of("2")


def test_literals_in_classes_and_defaults_are_not_looked_at_one_by_one(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {
            "flow.py": """
                class Config:
                    few, path = 3, "x"
                    many = [1, 2]
                    def scaled(self, by=2.0): return by * self.few
                def helper(n=None, *, known=()): return n
                def task(): return Config, helper
            """
        },
    )
    with loaded(folder / "flow.py") as module:
        found = Survey([module.task]).look_at(module.task)
    assert [value.name for value in found.values] == ["Config.few", "Config.path"]


@pytest.mark.parametrize(("one", "other"), [("lambda: 1", "lambda: 2"), ("int", "list")])
def test_what_a_dictionary_makes_of_missing_keys_counts(
    digest: Digests, one: str, other: str
) -> None:
    def of(factory: str) -> str:
        return digest(MAKING_VALUES.replace("{value}", f"collections.defaultdict({factory})"))

    assert of(one) == of(one)
    assert of(one) != of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10**5000", "10**5001"),
        ("Setting(Odd(1))", "Setting(Odd(2))"),
        ("numpy.zeros(2, OVERLAPPING)", "numpy.ones(2, OVERLAPPING)"),
    ],
    ids=["a number of many digits", "a broken repr", "an array without a description"],
)
def test_a_value_that_answers_no_question_is_no_trouble(
    digest: Digests, one: str, other: str
) -> None:
    flow = """
        import numpy, dataclasses
        OVERLAPPING = {"names": ["a", "b"], "formats": ["i4", "i4"], "offsets": [0, 2]}
        @dataclasses.dataclass
        class Setting:
            value: object
        @dataclasses.dataclass(repr=False)
        class Odd:
            value: int
            def __repr__(self): raise RuntimeError
        VALUE = {value}
        def task(): return VALUE
    """
    assert digest(flow.replace("{value}", one)) != digest(flow.replace("{value}", other))


def test_a_value_in_another_module_counts(digest: Digests, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(seen: str) -> str:
        monkeypatch.setenv("SEEN", seen)
        helper = "import os\nMODE = os.environ['SEEN']\nOTHER = os.environ['SEEN']"
        return digest("import helper\ndef task(): return helper.MODE", helper=helper)

    assert of("a") == of("a") != of("b")


@pytest.mark.parametrize("name", ["LIMIT", "NEW"])
def test_an_attribute_that_another_module_sets_counts(digest: Digests, name: str) -> None:
    def of(value: int) -> str:
        flow = f"import settings\nsettings.{name} = {value}\nfrom steps import task"
        steps = f"import settings\ndef task(): return settings.{name}"
        return digest(flow, settings="LIMIT = 1", steps=steps)

    assert of(5) == of(5) != of(66)


MEMORIES = {
    "global": "def change():\n    global MEMORY\n    MEMORY = 1",
    "an item": "def change(): MEMORY['a'] = 1",
    "an item's item": "def change(): MEMORY['a']['b'] = 1",
    "a deleted item": "def change(): del MEMORY['a']",
    "an attribute": "def change(): MEMORY.a = 1",
    "a method": "def change(): MEMORY.update(a=1)",
    "a method of an item": "def change(): MEMORY.get('a').append(1)",
    "a task's own": "def task():\n    MEMORY['a'] = 1\n    return MEMORY",
    "a method of a class": "class C:\n    def change(self): MEMORY['a'] = 1",
}


@pytest.mark.parametrize("changing", MEMORIES.values(), ids=MEMORIES.keys())
def test_a_name_that_functions_change_counts_by_its_statements(
    digest: Digests, monkeypatch: pytest.MonkeyPatch, changing: str
) -> None:
    def of(seen: str, statement: str) -> str:
        monkeypatch.setenv("SEEN", seen)
        text = f"import os\nMEMORY = {statement}\ndef task(): return MEMORY\n{changing}"
        return digest(text)

    assert of("a", "{os.environ['SEEN']: 1}") == of("b", "{os.environ['SEEN']: 1}")
    assert of("a", "{os.environ['SEEN']: 1}") != of("a", "{os.environ['SEEN']: 2}")


def test_a_memory_of_another_module_is_told_by_the_functions_on_the_way(
    digest: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(seen: str, changing: str) -> str:
        monkeypatch.setenv("SEEN", seen)
        helper = "import os\nCACHE = {os.environ['SEEN']: 1}"
        flow = f"import helper\ndef note(): {changing}\ndef task(): return note(), helper.CACHE"
        return digest(flow, helper=helper)

    assert of("a", "helper.CACHE['x'] = 1") == of("b", "helper.CACHE['x'] = 1")
    assert of("a", "...") != of("b", "...")


def test_a_local_that_is_changed_makes_no_memory_of_the_global_of_its_name(
    digest: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(seen: str) -> str:
        monkeypatch.setenv("SEEN", seen)
        flow = """
            import os
            VALUES = [os.environ["SEEN"]]
            def other(VALUES): VALUES.append(1)
            def task(): return VALUES
        """
        return digest(flow)

    assert of("a") != of("b")


def test_values_that_are_not_plain_or_too_large_count_by_their_statements(
    digest: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(seen: str, value: str) -> str:
        monkeypatch.setenv("SEEN", seen)
        return digest(f"import os\nVALUE = {value}\ndef task(): return VALUE")

    for value in ("iter([os.environ['SEEN']])", "os.environ['SEEN'] * 10_000_001"):
        assert of("a", value) == of("b", value) != of("a", f"[{value}]")


def test_what_is_ignored_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = write(
        tmp_path,
        {
            "flow.py": "import os, places\nSCRATCH = os.environ['SEEN']\n"
            "def task(): return SCRATCH, places.TMP",
            "places.py": "import os\nTMP = os.environ['SEEN']",
        },
    )

    def of(seen: str, *ignored: str) -> str:
        monkeypatch.setenv("SEEN", seen)
        with loaded(flow / "flow.py") as module:
            return Survey([module.task]).look_at(module.task, ignored).digest

    assert of("a", "SCRATCH", "TMP") == of("b", "SCRATCH", "TMP")
    assert of("a", "SCRATCH", "places.TMP") == of("b", "SCRATCH", "places.TMP")
    assert of("a", "SCRATCH") != of("b", "SCRATCH")
    assert of("a", "SCRATCH", "flow.TMP") != of("b", "SCRATCH", "flow.TMP")


def test_what_a_task_is_made_of_is_told_piece_by_piece(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {
            "flow.py": "import settings\nclass Kind: ...\ndef helper(): return Kind\n"
            "LOCK = iter([])\ndef task(): return helper(), settings.FACTOR, LOCK",
            "settings.py": "FACTOR = float('2')",
        },
    )
    with loaded(folder / "flow.py") as module:
        source = Survey([module.task]).look_at(module.task)
    found = {(each.kind, Path(each.file).name, each.name) for each in source.definitions}
    assert found == {
        ("function", "flow.py", "task"),
        ("function", "flow.py", "helper"),
        ("class", "flow.py", "Kind"),
        ("constant", "flow.py", "LOCK"),
    }
    [value] = source.values
    assert (value.file, value.name, value.shown) == (str(folder / "settings.py"), "FACTOR", "2.0")
