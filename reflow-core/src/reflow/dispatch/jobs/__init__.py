"""The jobs of a run: what is asked for, how elements share them, and what becomes of them."""
