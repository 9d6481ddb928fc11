"""Executors, which run jobs: their contract, the local one, and what batch schedulers share."""
