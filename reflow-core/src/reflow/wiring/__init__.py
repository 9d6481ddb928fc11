"""From a function's signature to the edges of a graph.

`markers` is what people write, `signature` reads it, `rules` and `decide` infer how values travel,
`graph` puts a workflow together, `parameters` parses and checks what a run is started with.
"""
