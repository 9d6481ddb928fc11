"""Removing what runs have left: their files, their records, results that nothing needs."""
