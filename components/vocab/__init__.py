"""Which classes there are: stable ids in, indices and maps out; no data, no tensors."""
