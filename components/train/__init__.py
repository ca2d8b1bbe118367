"""Shards and settings in, a model directory out: objectives, one loop, one door for weights."""
