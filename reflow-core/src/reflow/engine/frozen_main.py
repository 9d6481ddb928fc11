"""The main module of processes that tasks start with multiprocessing: that of their parent.

It is run under the name `__mp_main__`, in the place of the flow's file, which need not be there any
more.
"""

import os
from pathlib import Path

from reflow.engine.frozen import ARCHIVE_VARIABLE, SCRIPT_VARIABLE, script_loader, use_copy

if os.environ.get(ARCHIVE_VARIABLE):
    use_copy(Path(os.environ[ARCHIVE_VARIABLE]))
if os.environ.get(SCRIPT_VARIABLE):
    __file__ = os.environ[SCRIPT_VARIABLE]
    _loader = script_loader(__name__, Path(__file__))
    if _loader is not None:
        exec(_loader.get_code(__name__), globals())  # type: ignore[arg-type]  # noqa: S102
