"""From a function's signature to the edges of a graph.

`markers` holds what users write, `signature` reads it, `rules` and `decide` infer how values
travel, `graph` assembles a workflow, `parameters` parses and checks the parameters of a run.
"""
