"""The names under which one flow file is a module: in the process that runs it, and in others."""

FLOW_MODULE = "__reflow_flow__"
"""The name under which a flow file that was run as a script is loaded elsewhere."""
SCRIPT_MODULE = "__mp_main__"
"""Its name in workers: that by which multiprocessing, too, loads a script in the processes that it
starts, so that what a task hands to them is found there."""
SCRIPTS = ("__main__", SCRIPT_MODULE, FLOW_MODULE)
"""All of its names, that of the script itself first."""
