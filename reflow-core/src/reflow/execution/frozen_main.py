"""The main module of processes that tasks start with multiprocessing: that of their parent.

It is run under the name `__mp_main__`, in the place of the flow's file, which need not be there any
more.
"""

from reflow.execution.frozen import become_main

become_main(globals())
