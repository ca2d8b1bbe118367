"""Bytes to batches: label files and pictures in, shards on disk, then uint8 batches and targets."""
