"""A graph of calls: identity, store, schedule, run. Nodes in, artifacts out; no boxes, no Ray."""
