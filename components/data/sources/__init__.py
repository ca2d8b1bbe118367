"""Formats people bring: files in, `Labelled` pictures with class ids, or a class graph, out."""
