"""Where work runs: the contract of executors, and the local ones."""
