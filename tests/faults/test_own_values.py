"""Values that modules make when they are imported, on every way to run a flow."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import ReflowWarning
from reflow.runs.create import Wanted
from reflow.workflow import preview

from tests.e2e.support import FlowFile, until
from tests.faults.scripted_scheduler import Folder, ScriptedExecutor

Flows = Callable[..., FlowFile]
WAYS = ("inline", "pool", "background", "dispatch jobs")

FROM_A_FILE = """
    import settings

    wf = Workflow("values")

    @wf.job()
    def items() -> list[int]:
        return [1, 2]

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step="items")]) -> int:
        did(f"each-{x}")
        return x * settings.FACTOR
"""
INSIDE = """
    import settings

    wf = Workflow("values")

    @wf.job()
    def one(x: int = 1) -> int:
        did("one")
        return settings.moved(x * settings.Config.factor)
"""
OF_THE_PROCESS = """
    PROCESS = os.getpid()
    wf = Workflow("processes")

    @wf.job({options})
    def one(x: int = 1) -> int:
        did("one")
        return x * len(str(PROCESS))
"""


@pytest.fixture
def run_flow(scheduler: Folder) -> Callable[[FlowFile, str], Any]:
    """Run a flow in any of the ways, dispatch jobs on a scheduler among them."""

    def run(flow: FlowFile, way: str) -> Any:
        if way != "dispatch jobs":
            return flow.run(way)
        started = flow.load().submit(executor=ScriptedExecutor(folder=str(scheduler.path)))
        until(lambda: started.state != "RUNNING" and not scheduler.in_queue())
        return started

    return run


@pytest.mark.parametrize("way", WAYS)
def test_a_value_read_at_import_counts(
    flow_file: Flows, tmp_path: Path, run_flow: Callable[[FlowFile, str], Any], way: str
) -> None:
    flow = flow_file(FROM_A_FILE)
    (tmp_path / "settings.py").write_text(
        f"from pathlib import Path\nFACTOR = int(Path({str(tmp_path / 'factor')!r}).read_text())"
    )
    (tmp_path / "factor").write_text("2")
    assert run_flow(flow, way).result("each") == [2, 4]
    assert run_flow(flow, way).result("each") == [2, 4]
    assert flow.calls == {"each-1": 1, "each-2": 1}
    (tmp_path / "factor").write_text("3")
    with pytest.warns(ReflowWarning, match=r"FACTOR in settings\.py is 3, and was 2 .*'each'"):
        assert run_flow(flow, way).result("each") == [3, 6]
    (tmp_path / "factor").write_text("2")
    with pytest.warns(ReflowWarning, match=r"FACTOR in settings\.py is 2, and was 3"):
        assert run_flow(flow, way).result("each") == [2, 4]
    assert flow.calls == {"each-1": 2, "each-2": 2}


@pytest.mark.parametrize("way", WAYS)
def test_attributes_of_classes_and_defaults_that_are_read_at_import_count(
    flow_file: Flows, tmp_path: Path, run_flow: Callable[[FlowFile, str], Any], way: str
) -> None:
    flow = flow_file(INSIDE)
    (tmp_path / "settings.py").write_text(
        f"from pathlib import Path\nplace = Path({str(tmp_path)!r})\n"
        "class Config:\n    factor = int((place / 'factor').read_text())\n"
        "def moved(x, by=int((place / 'by').read_text())):\n    return x + by\n"
    )
    (tmp_path / "factor").write_text("2")
    (tmp_path / "by").write_text("0")
    assert run_flow(flow, way).result("one") == 2
    assert run_flow(flow, way).result("one") == 2
    assert flow.calls == {"one": 1}
    (tmp_path / "factor").write_text("3")
    with pytest.warns(ReflowWarning, match=r"Config\.factor in settings\.py is 3, and was 2"):
        assert run_flow(flow, way).result("one") == 3
    (tmp_path / "by").write_text("1")
    with pytest.warns(ReflowWarning, match=r"moved\.by in settings\.py is 1, and was 0"):
        assert run_flow(flow, way).result("one") == 4
    assert flow.calls == {"one": 3}


@pytest.mark.filterwarnings("ignore::reflow.errors.ReflowWarning")
@pytest.mark.parametrize(
    ("made", "used"),
    [
        ("try:\n    class Own:\n        value = {made}\nfinally:\n    pass", "Own.value"),
        ("if PLACE:\n    def own(value={made}):\n        return value", "own()"),
        (
            "if {made} == 2:\n    def own():\n        return 2\n"
            "else:\n    def own():\n        return 3",
            "own()",
        ),
        ("@wf.job()\ndef own(value: int = {made}) -> int:\n    return value", "own()"),
    ],
    ids=[
        "class in a block",
        "function in a block",
        "one of two functions",
        "task that another calls",
    ],
)
def test_so_do_those_of_definitions_in_blocks_and_of_tasks_that_others_call(
    flow_file: Flows, tmp_path: Path, made: str, used: str
) -> None:
    flow = flow_file('PLACE = "{here}/value"\nwf = Workflow("values")\n')
    made = made.replace("{made}", "int(Path(PLACE).read_text())")
    flow.path.write_text(
        f"{flow.path.read_text()}\n{made}\n\n@wf.job()\ndef one() -> int:\n    return {used}\n"
    )
    for value in (2, 3, 2):
        (tmp_path / "value").write_text(str(value))
        assert flow.run().result("one") == value


SET_AT_IMPORT = {
    "a function": ("def a():\n    return a.k\na.k = VALUE", "a()"),
    "a function, beside a default": ("def b(k=0):\n    return b.k + k\nb.k = VALUE", "b()"),
    "a function with a cache": (
        "@functools.cache\ndef c():\n    return c.k\nc.k = VALUE",
        "c()",
    ),
    "a decorated function": (
        "def deco(function):\n    def inner():\n        return inner.k\n    return inner\n"
        "@deco\ndef d():\n    return 0\nd.k = VALUE",
        "d()",
    ),
    "a method": (
        "class E:\n    def e(self):\n        return E.e.k\nE.e.k = VALUE",
        "E().e()",
    ),
    "a function, another one": (
        "def two():\n    return 2\ndef three():\n    return 3\ndef f():\n    return f.k()\n"
        "f.k = two if VALUE == 2 else three",
        "f()",
    ),
    "a dataclass, beside its fields": (
        "@dataclass\nclass G:\n    x: int = 1\ng = G()\ng.note = VALUE",
        "g.note",
    ),
    "a named tuple": (
        "class H(NamedTuple):\n    x: int = 1\nclass Named(H):\n    pass\n"
        "h = Named()\nh.note = VALUE",
        "h.note",
    ),
    "a dispatcher, for the same class again": (
        "@functools.singledispatch\ndef i(x):\n    return 0\n"
        "@i.register\ndef _(x: int):\n    return 2\n"
        "if VALUE == 3:\n    @i.register\n    def _(x: int):\n        return 3",
        "i(1)",
    ),
    "a dispatcher, for another class": (
        "@functools.singledispatch\ndef j(x):\n    return 3\n"
        "j.register(int if VALUE == 2 else str)(lambda x: 2)",
        "j(1)",
    ),
    "an array, its order": (
        "k = np.ones((2, 2), order='C' if VALUE == 2 else 'F')",
        "2 if k.flags.c_contiguous else 3",
    ),
    "an array, its protection": (
        "l = np.ones(2)\nl.flags.writeable = VALUE == 2",
        "2 if l.flags.writeable else 3",
    ),
    "an array, its class": (
        "m = np.asmatrix([2]) if VALUE == 2 else np.array([2])",
        "2 if isinstance(m, np.matrix) else 3",
    ),
}
"""By on what, the statements that set `VALUE` on it, and what then yields that value."""


@pytest.mark.filterwarnings("ignore::reflow.errors.ReflowWarning")
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("way", WAYS[:2])
def test_what_is_set_on_functions_and_objects_at_import_counts(
    flow_file: Flows, tmp_path: Path, way: str
) -> None:
    flow = flow_file(
        "import functools\nfrom dataclasses import dataclass\nfrom typing import NamedTuple\n"
        "import numpy as np\n"
        f"VALUE = int(Path({str(tmp_path / 'value')!r}).read_text())\nwf = Workflow('set')\n"
        + "\n".join(made for made, _ in SET_AT_IMPORT.values())
        + "".join(
            f"\n@wf.job(ignore=['VALUE'])\ndef task{number}() -> int:\n    return {used}\n"
            for number, (_, used) in enumerate(SET_AT_IMPORT.values())
        )
        + "\n@wf.job(ignore=['VALUE'])\ndef itself() -> int:\n    return itself.k\n"
        "itself.k = VALUE\n"
    )
    tasks = {what: f"task{number}" for number, what in enumerate(SET_AT_IMPORT)}
    tasks["the task itself"] = "itself"
    for value, is_cached in ((2, 0), (3, 0), (3, 1), (2, 1)):
        (tmp_path / "value").write_text(str(value))
        run = flow.run(way)
        assert {what: run.result(task) for what, task in tasks.items()} == dict.fromkeys(
            tasks, value
        )
        cached = run.status(as_dict=True)["tasks"]
        assert {what: cached[task]["cached"] for what, task in tasks.items()} == dict.fromkeys(
            tasks, is_cached
        )


@pytest.mark.parametrize("way", WAYS[:2])
def test_what_functions_set_on_themselves_is_a_memory(flow_file: Flows, way: str) -> None:
    flow = flow_file(
        """
        import functools
        from dataclasses import dataclass

        def counted(x):
            counted.calls += 1
            return x
        counted.calls = 0

        def remembered(function):
            seen = {}
            @functools.wraps(function)
            def inner(x):
                inner.calls += 1
                if x not in seen:
                    seen[x] = function(x)
                return seen[x]
            inner.calls = 0
            inner.seen = seen
            return inner

        @remembered
        def helper(x):
            return x

        @dataclass
        class Place:
            x: int = 1
            @functools.cached_property
            def twice(self):
                return 2 * self.x
        place = Place()

        wf = Workflow("memories")

        @wf.job(array=True)
        def one(x: Annotated[int, Param(each=True)]) -> int:
            did("one")
            return counted(x) + helper(x) + place.twice
        """
    )
    loaded = flow.load()
    for _ in range(2):
        run = flow.run(way, x=[1, 2, 3])
        assert run.result("one") == [4, 6, 8]
        assert not run.status()["notes"]
    assert flow.calls == {"one": 3}
    for _ in range(2):
        loaded.run_local(run_dir="runs/here", max_workers=1, x=[4, 5])
    assert flow.calls == {"one": 5}


def test_an_object_that_raises_when_asked_for_an_attribute_can_be_used(flow_file: Flows) -> None:
    flow = flow_file(
        """
        class Proxy:
            def __getattribute__(self, name):
                raise RuntimeError("outside of its context")

        current = Proxy()
        wf = Workflow("proxies")

        @wf.job()
        def one() -> int:
            current
            return 1
        """
    )
    assert flow.run().result("one") == 1


def test_a_preview_tells_of_another_value_too(flow_file: Flows, tmp_path: Path) -> None:
    flow = flow_file(FROM_A_FILE)
    (tmp_path / "settings.py").write_text("import os\nFACTOR = int(os.environ.get('FACTOR', 2))")
    flow.run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACTOR", "3")
        patch.setenv("REFLOW_EXECUTOR", "local")
        with pytest.warns(ReflowWarning, match=r"FACTOR in settings\.py is 3, and was 2 .*'each'"):
            found = preview(flow.load(), Wanted())
    assert [(each.name, each.to_run) for each in found.tasks] == [("items", 0), ("each", 2)]


@pytest.mark.parametrize("way", WAYS[1:])
def test_a_worker_with_another_value_makes_a_result_for_its_run_only_and_status_says_why(
    flow_file: Flows, run_flow: Callable[[FlowFile, str], Any], way: str
) -> None:
    flow = flow_file(OF_THE_PROCESS.replace("{options}", ""))
    run = run_flow(flow, way)
    assert run.state == "SUCCESS"
    [note] = [each for each in run.status()["notes"] if "PROCESS" in each]
    assert f"PROCESS in flow.py was {os.getpid()} where the run was submitted" in note
    assert 'ignore=["PROCESS"]' in note
    # The same is submitted once more, by this same process.
    assert run_flow(flow, way).state == "SUCCESS"
    assert flow.calls == {"one": 2}


MADE_WITH = {
    "n": """
        def make(n):
            @wf.job(name="one")
            def task() -> int:
                did("one")
                return n
        make(os.getpid())
    """,
    "argument 1": """
        def base(n, x: int = 1) -> int:
            did("one")
            return n
        wf.job(name="one")(functools.partial(base, os.getpid()))
    """,
    "made": """
        class Made:
            def __init__(self, n):
                self.n = n
        def base(made, x: int = 1) -> int:
            did("one")
            return made.n
        wf.job(name="one")(functools.partial(base, made=Made(os.getpid())))
    """,
    "given.n": """
        def make(given):
            @wf.job(name="one")
            def task() -> int:
                did("one")
                return given()
        make(lambda n=os.getpid(): n)
    """,
    "size": """
        def times(size):
            def decorate(function):
                @functools.wraps(function)
                def inner():
                    return function() * size
                return inner
            return decorate
        @wf.job()
        @times(os.getpid())
        def one() -> int:
            did("one")
            return 1
    """,
    "factor": """
        def scaled(factor):
            def scale(x):
                return x * factor
            return scale
        scale = scaled(os.getpid())
        @wf.job()
        def one(x: int = 1) -> int:
            did("one")
            return scale(x)
    """,
    "number": """
        def times(number):
            def decorate(function):
                def inner(x):
                    return function(x) * number
                return inner
            return decorate
        @times(os.getpid())
        def scale(x):
            return x
        @wf.job()
        def one(x: int = 1) -> int:
            did("one")
            return scale(x)
    """,
    "scale.factor": """
        def scaled(factor):
            def scale(x):
                return x * factor
            return scale
        METHODS = {"scale": scaled(os.getpid())}
        @wf.job()
        def one(x: int = 1) -> int:
            did("one")
            return METHODS["scale"](x)
    """,
    "itself": """
        def here() -> int:
            did("one")
            return 1
        def there() -> int:
            did("one")
            return 2
        wf.job(name="one")(here if os.getpid() == HERE else there)
    """,
}
CHOSEN = {
    "by name": ("chosen = here if os.getpid() == HERE else there", "chosen()"),
    "in a table": ("TABLE = {'x': here if os.getpid() == HERE else there}", "TABLE['x']()"),
}


@pytest.mark.parametrize("name", MADE_WITH)
def test_a_worker_compares_what_functions_were_made_with(flow_file: Flows, name: str) -> None:
    flow = flow_file(
        f"import functools\nHERE = {os.getpid()}\nwf = Workflow('factories')\n"
        + textwrap.dedent(MADE_WITH[name])
    )
    run = flow.run("background")
    assert run.state == "SUCCESS"
    [note] = [each for each in run.status()["notes"] if "made with" in each]
    assert repr(name) in note
    assert "serve this run only" in note
    assert flow.run("background").state == "SUCCESS"
    assert flow.calls == {"one": 2}


@pytest.mark.parametrize("how", CHOSEN)
def test_a_worker_compares_which_function_was_chosen(flow_file: Flows, how: str) -> None:
    statement, call = CHOSEN[how]
    flow = flow_file(f"""
HERE = {os.getpid()}
wf = Workflow("chosen")

def here() -> int:
    return 1

def there() -> int:
    return 2

{statement}

@wf.job()
def one() -> int:
    did("one")
    return {call}
""")
    run = flow.run("background")
    [note] = [each for each in run.status()["notes"] if "made with" in each]
    assert "that chosen was made with" in note or "that TABLE was made with" in note
    assert flow.run("background").state == "SUCCESS"
    assert flow.calls == {"one": 2}


HELPERS = {
    "decorated": """
        import functools
        def added(function):
            @functools.wraps(function)
            def inner(x):
                return function(x) + 1.0
            return inner
        @added
        def helper(x):
            return x
    """,
    "in a table": """
        def added(x):
            return x + 1.0
        TABLE = {"helper": added}
        def helper(x):
            return TABLE["helper"](x)
    """,
    "registered": """
        TABLE = {}
        def register(function):
            TABLE[function.__name__] = function
            return function
        @register
        def added(x):
            return x + 1.0
        def helper(x):
            return TABLE["added"](x)
    """,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", HELPERS)
def test_what_stands_behind_a_helper_counts(
    flow_file: Flows, run_flow: Callable[[FlowFile, str], Any], kind: str, way: str
) -> None:
    flow = flow_file(
        textwrap.dedent(HELPERS[kind])
        + textwrap.dedent("""
            wf = Workflow("helpers")

            @wf.job()
            def one(x: int = 1) -> float:
                did("one")
                return helper(x)
        """)
    )
    assert run_flow(flow, way).result("one") == 2.0
    assert run_flow(flow, way).result("one") == 2.0
    assert flow.calls == {"one": 1}
    flow.replace("+ 1.0", "+ 2.0")
    assert run_flow(flow, way).result("one") == 3.0


OTHER_MODULES = {
    "a class that registers itself": (
        """
        class Base:
            known = {}
            def __init_subclass__(cls):
                Base.known[cls.__name__] = cls
        def helper(x):
            return Base.known["Other"]().added(x)
        """,
        """
        from lib import Base
        class Other(Base):
            def added(self, x):
                return x + 1.0
        """,
    ),
    "a function for one class": (
        """
        import functools
        @functools.singledispatch
        def helper(x):
            return 0.0
        """,
        """
        from lib import helper
        @helper.register
        def added(x: int):
            return x + 1.0
        """,
    ),
}


@pytest.mark.parametrize("kind", OTHER_MODULES)
def test_what_another_module_registers_counts(flow_file: Flows, kind: str) -> None:
    lib, other = map(textwrap.dedent, OTHER_MODULES[kind])
    flow = flow_file(
        """
        import other
        from lib import helper

        wf = Workflow("registry")

        @wf.job()
        def one(x: int = 1) -> float:
            did("one")
            return helper(x)
        """
    )
    (flow.folder / "lib.py").write_text(lib)
    (flow.folder / "other.py").write_text(other)
    for _ in range(2):
        assert flow.run().result("one") == 2.0
    assert flow.calls == {"one": 1}
    (flow.folder / "other.py").write_text(other.replace("+ 1.0", "+ 2.00"))
    assert flow.run().result("one") == 3.0


MEMORIES = {
    "by a decorator": "@remembered\ndef helper(x):\n    return x",
    "by a call": "helper = remembered(abs)",
}


@pytest.mark.parametrize("how", MEMORIES)
def test_what_a_helper_remembers_does_not_count(flow_file: Flows, how: str) -> None:
    flow = flow_file(f"""
def remembered(function):
    seen, calls = {{}}, 0

    def inner(x):
        nonlocal calls
        calls += 1
        if x not in seen:
            seen[x] = function(x)
        return seen[x]
    return inner

{MEMORIES[how]}

wf = Workflow("memories")

@wf.job()
def one(x: int = 1) -> int:
    did("one")
    return helper(x)
""")
    loaded = flow.load()
    for _ in range(2):
        assert loaded.run_local(run_dir="runs/here", max_workers=1).result("one") == 1
    assert flow.calls == {"one": 1}


def test_functions_made_with_equal_values_in_a_worker_serve_later_runs(flow_file: Flows) -> None:
    flow = flow_file(
        """
        import functools

        class Made:
            def __init__(self, n):
                self.n, self.parts = n, {"a", "b", "c"}

        def helper(x):
            return x

        def remembered(function):
            seen = {}
            @functools.wraps(function)
            def inner(x):
                return seen.setdefault(x, function(x))
            return inner

        wf = Workflow("factories")

        def make(made, given, then, kind):
            @wf.job(array=True)
            @remembered
            def one(x: Annotated[int, Param(each=True)]) -> int:
                did("one")
                return given(then(x)) * made.n

        make(Made(2), lambda q=functools.partial(helper, 1): 1, helper, Made)
        """
    )
    for _ in range(2):
        run = flow.run("background", x=[1, 2, 3])
        assert run.state == "SUCCESS"
        assert not run.status()["notes"]
    assert flow.calls == {"one": 3}


@pytest.mark.parametrize("ignored", ["", "'Own.process', 'length.of'"])
def test_a_worker_compares_values_inside_classes_and_defaults(
    flow_file: Flows, ignored: str
) -> None:
    flow = flow_file(
        f"""
        class Own:
            process = os.getpid()

        def length(of=str(os.getpid())):
            return len(of)

        wf = Workflow("processes")

        @wf.job(ignore=[{ignored}])
        def one(x: int = 1) -> int:
            did("one")
            return x * length() * len(str(Own.process))
        """
    )
    run = flow.run("background")
    assert run.state == "SUCCESS"
    notes = " ".join(run.status().get("notes", ()))
    for name in ("Own.process", "length.of"):
        assert (f"{name} in flow.py was" in notes) == (not ignored)
        assert (f'ignore=["{name}"]' in notes) == (not ignored)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", ["ignore=['PROCESS']", "version=1"])
def test_a_value_that_is_ignored_is_not_compared(
    flow_file: Flows, run_flow: Callable[[FlowFile, str], Any], way: str, options: str
) -> None:
    flow = flow_file(OF_THE_PROCESS.replace("{options}", options))
    run = run_flow(flow, way)
    assert not [each for each in run.status().get("notes", ()) if "PROCESS" in each]
    assert run_flow(flow, way).state == "SUCCESS"
    assert flow.calls == {"one": 1}


def test_a_value_of_the_process_itself_is_reused_where_everything_runs_in_it(
    flow_file: Flows,
) -> None:
    flow = flow_file(OF_THE_PROCESS.replace("{options}", ""))
    flow.run("inline")
    flow.run("inline")
    assert flow.calls == {"one": 1}
