"""Geometry of boxes: tensors of corners in, tensors out. Nothing here is learned."""
