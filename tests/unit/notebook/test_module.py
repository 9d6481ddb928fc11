"""The module that is written from cells: what it takes along, and how."""

from __future__ import annotations

from pathlib import Path

import pytest
from reflow.errors import DefinitionError
from reflow.notebook.loading import load_cells

from tests.unit.notebook.cells import Cells

HEAD = "from typing import Annotated\nfrom reflow import Flow, Result, Workflow\nwf = Workflow('w')"
TASK = "@wf.job\ndef t() -> int: return "

TAKEN = {
    "functions that call each other": (
        ["def even(n): return n == 0 or odd(n - 1)", "def odd(n): return n != 0 and even(n - 1)"],
        "even(4)",
        True,
    ),
    "a class that uses a function whose default is the class": (
        ["class A:\n    def m(self): return h()", "def h(a=A): return a.__name__"],
        "A().m()",
        "A",
    ),
    "a decorator that calls a helper": (
        ["def wrap(f): return f", "def deco(f): return wrap(f)", "@deco\ndef h(): return 1"],
        "h()",
        1,
    ),
    "classes with bases, properties and methods of all kinds": (
        [
            "import abc\nclass B(abc.ABC):\n    @property\n    def p(self): return K\n"
            "    @staticmethod\n    def s(): return 2\n    @classmethod\n    def c(cls): return 1",
            "K = 5",
            "class D(B):\n    def m(self): return super().p + self.s() + self.c()",
        ],
        "D().m()",
        8,
    ),
    "the import that worked": (
        ["try:\n    import nothing_of_this_name as json\nexcept ImportError:\n    import json"],
        "json.dumps([1])",
        "[1]",
    ),
    "a definition under a condition": (
        ["import sys\nif sys.maxsize:\n    def h(): return 1\nelse:\n    def h(): return 2"],
        "h()",
        1,
    ),
    "statements on one line": (["a = 1; b = 2; both = lambda: a + b"], "both()", 3),
    "a function that was wrapped later": (
        ["import functools", "def h(x): return x + 1", "h = functools.lru_cache(h)"],
        "h(1)",
        2,
    ),
    "the last of three definitions": (
        ["def h(): return 1\ndef h(): return 2\ndef h(): return 3"],
        "h()",
        3,
    ),
    "the definition that is in force": (
        ["def h(): return 1", "if False:\n    def h(): return 2"],
        "h()",
        1,
    ),
    "functions in a table": (["TABLE = {k: (lambda k=k: k) for k in 'ab'}"], "TABLE['b']()", "b"),
    "a part of a package": (
        ["import os.path\nimport xml.dom.minidom"],
        "xml.dom.minidom.__name__",
        "xml.dom.minidom",
    ),
    "everything of a module": (["from math import *"], "floor(pi)", 3),
    "names of types": (
        [
            "from typing import NamedTuple, TypedDict, TypeVar\nT = TypeVar('T')\n"
            "class D(TypedDict):\n    a: int\nclass N(NamedTuple):\n    a: int = 1",
            "def same(x: T) -> 'T': return x",
        ],
        "same(N().a) + D(a=1)['a']",
        2,
    ),
    "a model of pydantic": (
        ["import pydantic\nclass M(pydantic.BaseModel):\n    x: int = 3"],
        "M().x",
        3,
    ),
    "nested dataclasses that were changed": (
        [
            "from dataclasses import dataclass, field\n@dataclass\nclass P:\n    y: list = field("
            "default_factory=list)\n@dataclass(frozen=True)\nclass Q:\n    p: P",
            "q = Q(P([2]))\nq.p.y.append(3)",
        ],
        "sum(q.p.y)",
        5,
    ),
    "an attribute that was set later": (["class C:\n    n = 1", "C.n = 5"], "C.n", 5),
    "a method that was replaced": (
        ["class C:\n    def m(self): return 1", "def other(self): return 2\nC.m = other"],
        "C().m()",
        2,
    ),
    "arrays and their kinds": (
        [
            "import numpy as np\nx = np.zeros(2, dtype=[('a', 'i4')])",
            "y = np.dtype('f4')\nz = np.float32(2)",
        ],
        "int(x['a'].sum() + y.itemsize + z)",
        6,
    ),
    "times with time zones": (
        [
            "from datetime import datetime, time, timedelta, timezone",
            "from zoneinfo import ZoneInfo",
            "z = ZoneInfo('Europe/Berlin')\na = datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=z)",
            "b = [time(1, tzinfo=timezone.utc), timezone(timedelta(hours=2)), slice(a, None)]",
        ],
        "[str(a), a.fold, a.tzinfo is z, str(b[0]), str(b[1]), b[2].start == a]",
        ["2020-10-25 02:30:00+01:00", 1, True, "01:00:00+00:00", "UTC+02:00", True],
    ),
    "arrays with a mask": (
        ["import numpy as np\nm = np.ma.array([1, 2], mask=[0, 1], fill_value=7)"],
        "[int(m.sum()), m.filled().tolist()]",
        [1, [1, 7]],
    ),
    "matrices and arrays of records": (
        [
            "import numpy as np\nm = np.matrix([[1, 2]])",
            "r = np.rec.array([(1, 2.0)], dtype=[('a', int), ('b', float)])",
        ],
        "[type(m * m.T).__name__, int(r.a[0]), int(r[0].a)]",
        ["matrix", 1, 1],
    ),
    "structures whose fields are aligned": (
        [
            "import numpy as np\nd = np.dtype([('a', 'i1'), ('b', 'f8')], align=True)",
            "x = np.ones(1, d)",
        ],
        "[x.dtype.isalignedstruct, x.nbytes, float(x['b'][0])]",
        [True, 16, 1.0],
    ),
    "the order and write protection of arrays": (
        [
            "import numpy as np\nx = np.asfortranarray(np.arange(6.0).reshape(2, 3))",
            "x.flags.writeable = False\ny = np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2)",
        ],
        "[x.tolist(), x.flags.fnc, x.flags.writeable, y.strides == (32, 96, 8), y[2, 1, 3].item()]",
        [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], True, False, True, 23],
    ),
    "attributes of instances that are no fields": (
        [
            "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 1",
            "p = P(2)\np.n = 5",
        ],
        "[p.x, p.n]",
        [2, 5],
    ),
    "instances whose fields were set otherwise": (
        [
            "from dataclasses import InitVar, dataclass, field",
            "@dataclass(frozen=True, slots=True)\n"
            "class P:\n    x: int\n    by: InitVar[int]\n    y: list = field(init=False)\n"
            "    def __post_init__(self, by):\n        object.__setattr__(self, 'x', self.x * by)\n"
            "        object.__setattr__(self, 'y', [])",
            "p = P(2, 3)\np.y.append(4)",
        ],
        "[p.x, p.y]",
        [6, [4]],
    ),
    "a class that holds what cannot be copied, or what calls fill": (
        [
            "import functools, threading\nclass C:\n    lock = threading.Lock()\n"
            "    done = threading.Event()",
            "@functools.singledispatch\ndef h(x): return 1\n@h.register\ndef _(x: int): return 2",
            "h(1)",
        ],
        "[C.lock.locked(), h(1)]",
        [False, 2],
    ),
    "a function of numpy's that was called": (
        ["import numpy as np\nk = 2\nv = np.vectorize(lambda x: x * k, otypes=[int])", "v([1, 2])"],
        "v([1]).tolist()",
        [2],
    ),
    "values that were unpacked": (
        ["(a, b), *c = (1, 2), 3, 4\nif (d := 5): pass"],
        "[a, b, c, d]",
        [1, 2, [3, 4], 5],
    ),
    "names that shadow built-in ones": (
        ["list = {1, 2}\nsum = max\nset = max = float = 0\nnan = -1e999\nr = range(2)"],
        "sum(list) + nan + len(r)",
        float("-inf"),
    ),
    "a local name that is also a global one": (
        ["x = 5\ndef h():\n    x = 1\n    def inner(): return x\n    return inner()"],
        "h()",
        1,
    ),
    "a logger": (["import logging\nlog = logging.getLogger('mine')"], "log.name", "mine"),
    "unusual text and numbers": (
        ["s = '\\udc80\\n\\'\"\\\\ü%'; i = -10**5000; f = -0.0; e = ..."],
        "[s, i + 10**5000, str(f), e]",
        ["\udc80\n'\"\\ü%", 0, "-0.0", ...],
    ),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("case", TAKEN)
def test_what_tasks_use_is_made_again(case: str, tmp_path: Path) -> None:
    cells, use, value = TAKEN[case]
    (task,) = Cells(tmp_path, HEAD, *cells, f"{TASK}{use}").load().specs()
    assert task.function() == value


REFUSED = {
    "a deep list": (["d = []\nfor _ in range(200): d = [d]"], "len(d)", "'d'"),
    "a list that holds itself": (["d = []\nd.append(d)"], "len(d)", "'d'"),
    "functions of a loop": (
        ["d = []\nfor i in range(3):\n    d.append(lambda i=i: i)"],
        "d[0]()",
        "'d'",
    ),
    "what exec defined": (["exec('def h(): return 7')"], "h()", "'h', a function that no cell"),
    "an array in a file": (
        [
            "import numpy as np, tempfile\n"
            "with tempfile.TemporaryFile() as f: m = np.memmap(f, shape=2)"
        ],
        "m.sum()",
        "'m', a numpy.memmap",
    ),
    "an exception with fields": (
        [
            "from dataclasses import dataclass\n@dataclass\nclass E(Exception):\n    x: int = 1",
            "e = E()",
        ],
        "e.x",
        "'e', an E that",
    ),
    "what a function of numpy's was given before": (
        [
            "import functools, numpy as np\ndef f(k, x): return k * x\nk = 2",
            "v = np.vectorize(functools.partial(f, k))",
            "k = 3",
        ],
        "v([1])",
        "'v' .* has changed since",
    ),
    "an object that shows nothing of what it holds": (
        [
            "class M:\n    def __init__(self): self.v = 1\n    def __repr__(self): return 'M'",
            "class C:\n    m = M()",
            "q = C.m\nq.v = 2",
        ],
        "C.m.v",
        "'C' .* is not what its cell makes",
    ),
    "a wrapper that was given something else": (
        [
            "import functools\nN = 1\n@functools.lru_cache(maxsize=N)\ndef h(): return 1",
            "N = 2",
        ],
        "h()",
        "'h' .* has changed since",
    ),
    "views of one array": (
        ["import numpy as np\na = np.zeros(2)\nb = a[1:]"],
        "a + b",
        "'a' and 'b', .* are views of one array",
    ),
    "an older definition under another name": (
        ["def h(): return 1\nold = h\ndef h(): return old() + 1"],
        "h()",
        "'old' .* is an older definition of 'h'",
    ),
    "an instance of a class that was defined again": (
        [
            "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 1\np = P()",
            "@dataclass\nclass P:\n    x: int = 2",
        ],
        "p.x",
        "'p', an instance of 'P' from before .* run the cell that makes 'p' again",
    ),
    "a generator in a class": (
        ["class C:\n    numbers = (i for i in [1])"],
        "next(C.numbers)",
        "'C' .* holds a generator",
    ),
    "a default of pydantic": (
        ["import pydantic\nN = 1\nclass M(pydantic.BaseModel):\n    x: int = N", "N = 2"],
        "M().x",
        "'M' .* has changed since",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_made_again_is_refused(case: str, tmp_path: Path) -> None:
    cells, use, said = REFUSED[case]
    book = Cells(tmp_path, HEAD, *cells, f"{TASK}{use}")
    with pytest.raises(DefinitionError, match=said):
        book.load()


def test_names_with_underscores_are_taken_along_but_those_of_ipython(tmp_path: Path) -> None:
    book = Cells(tmp_path, HEAD, "_wf, __version__ = wf, '2'\n_ = _1 = _i2 = wf\ndel wf")
    book.run("@_wf.job\ndef t() -> str: return __version__ + __name__[:0]")
    book.names["wf"] = book.names["_wf"]
    del book.names["wf"]
    loaded = load_cells(book.session, book.names["_wf"], str(tmp_path / "book.cells"))
    assert [each.function() for each in loaded.specs()] == ["2"]


def test_what_cannot_be_run_again_by_itself_is_told_as_a_mistake(tmp_path: Path) -> None:
    book = Cells(tmp_path, HEAD, "import os\nos.environ['ONCE_ONLY'] = '1'")
    book.run("def once(f):\n    del os.environ['ONCE_ONLY']\n    return f")
    book.run(f"@once\ndef h(): return 1\n{TASK}h()")
    with pytest.raises(DefinitionError, match="cannot be made again by its cells: KeyError"):
        book.load()


def test_a_name_that_was_deleted_is_missing_as_in_the_notebook(tmp_path: Path) -> None:
    book = Cells(tmp_path, HEAD, "def h(): return 1", f"{TASK}h()", "del h")
    (task,) = book.load().specs()
    with pytest.raises(NameError, match="'h'"):
        task.function()


def test_what_functions_change_begins_as_its_cell_says(tmp_path: Path) -> None:
    book = Cells(tmp_path, HEAD, "seen = {}\ndef h(x):\n    seen[x] = 1", f"{TASK}h(1)")
    before = book.module()
    book.names["t"]()  # as a run in the notebook's own process does
    assert book.module() == before


@pytest.mark.parametrize("cell", ["h(2)", "other(2)", "h_of_2()", "seen[2] = 1"])
def test_what_a_cell_has_changed_by_calling_a_function_is_taken_along(
    cell: str, tmp_path: Path
) -> None:
    book = Cells(tmp_path, HEAD, "seen = {}\ndef h(x):\n    seen[x] = 1", f"{TASK}[h(2), seen][1]")
    book.run("def other(x): h(x)\nh_of_2 = lambda: other(2)")
    before = book.module()
    book.run(cell)
    assert book.module() != before
    (task,) = book.load().specs()
    assert task.function() == {2: 1}


SHARED = {
    "a second name": (["a = []\nb = a\ndef h():\n    b.append(1)"], "[h(), a][1]", [1]),
    "a second name of what functions change": (
        ["b = []\na = b\ndef h():\n    b.append(1)", "b.append(0)"],
        "[h(), a][1]",
        [0, 1],
    ),
    "an array in two places": (
        ["import numpy as np\nd = {'x': np.zeros(2)}\nd['y'] = d['x']"],
        "d['x'] is d['y']",
        True,
    ),
    "an instance in two places": (
        [
            "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: list",
            "p = P([])\nq = [p]",
        ],
        "q[0] is p",
        True,
    ),
    "views of different parts": (
        ["import numpy as np\nx = np.arange(4)\na = x[:2]\nb = x[2:]"],
        "[a.tolist(), b.tolist()]",
        [[0, 1], [2, 3]],
    ),
}


@pytest.mark.parametrize("case", SHARED)
def test_what_is_one_object_stays_one(case: str, tmp_path: Path) -> None:
    cells, use, value = SHARED[case]
    (task,) = Cells(tmp_path, HEAD, *cells, f"{TASK}{use}").load().specs()
    assert task.function() == value


REGISTRY = """
    METHODS = {}
    def register(function):
        METHODS[function.__name__] = function
        return function
    @register
    def one(): return 1
    @register
    def two(): return 2
"""


@pytest.mark.parametrize(
    "use", ["[each() for each in METHODS.values()]", "[one(), METHODS['two']()]"]
)
def test_what_decorators_fill_is_filled_again(use: str, tmp_path: Path) -> None:
    book = Cells(tmp_path, HEAD, REGISTRY, f"{TASK}{use}")
    assert [spec.function() for spec in book.load().specs()] == [[1, 2]]
    book.run("@register\ndef two(): return 22")
    assert [spec.function() for spec in book.load().specs()] == [[1, 22]]


def test_what_is_filled_by_decorators_and_by_hand_is_refused(tmp_path: Path) -> None:
    book = Cells(tmp_path, HEAD, REGISTRY, "METHODS['three'] = 3", f"{TASK}len(METHODS)")
    with pytest.raises(DefinitionError, match=r"'METHODS' .* something else than what decorators"):
        book.load()


def test_a_module_does_not_depend_on_the_order_in_which_cells_ran(tmp_path: Path) -> None:
    cells = ["N = 3", "def h(): return N", f"{TASK}h()", "import math"]
    orders = [cells, [*cells, *cells[:2], "N = 3"], [cells[2], cells[1], cells[0]]]
    texts = {
        "\n".join(
            line
            for line in Cells(tmp_path, HEAD, *order).module().splitlines()
            if "In[" not in line
        )
        for order in orders
    }
    assert len(texts) == 1


def test_nothing_is_taken_along_that_no_task_uses(tmp_path: Path) -> None:
    book = Cells(tmp_path, HEAD, "big = 'x' * 5_000_000\nimport threading\nlock = threading.Lock()")
    book.run(f"{TASK}1")
    assert "big" not in book.module()


def test_a_flow_of_a_module_with_a_task_of_a_cell_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flow_of_a_file.py").write_text("from reflow import Workflow\nwf = Workflow('f')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    book = Cells(tmp_path, "from flow_of_a_file import wf", f"{TASK}1")
    with pytest.raises(DefinitionError, match="'t' is of a cell, but 'f' is imported"):
        book.load()


def test_included_flows_keep_their_prefix_and_what_is_bound(tmp_path: Path) -> None:
    book = Cells(tmp_path, HEAD, "part = Flow('part')")
    book.run("@part.job\ndef level(n: int = 1) -> int: return n")
    book.run("LEVEL = 3\nwf.include(part, prefix='high', bind={'n': LEVEL})")
    (spec,) = book.load().specs()
    assert spec.name == "high_level"
    assert [each.default for each in spec.parameters] == [3]
