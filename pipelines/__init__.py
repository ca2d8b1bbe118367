"""Which steps, in which order: settings, graph, nodes, recipes, runs and the command line."""
