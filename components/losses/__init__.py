"""Pure functions: tensors in, one sum out. Sums, not means: who normalises knows all workers."""
