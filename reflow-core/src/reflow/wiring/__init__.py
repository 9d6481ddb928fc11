"""From a function's signature to the edges of a graph."""
