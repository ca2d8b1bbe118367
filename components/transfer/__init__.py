"""Rows of a classifier in, rows of a detector out (paper 4); no files, no detectors."""
