"""What can be wrong with a store, and its exit code; the names are rows of `failures.NAMED`."""


class StoreError(ValueError):
    """The place given is not a store that can be used; nothing was written (exit 2)."""


class StorageError(OSError):
    """The store failed in the middle: full, turned read-only, unreachable (exit 4)."""


class DamagedError(ValueError):
    """A stored thing is not what its record says (exit 3)."""
