"""Which nodes, in which order: settings in, a graph out. Rows of tables are chosen here."""
