"""Predictions and truth in, (name, value) pairs out; names are a closed list."""
