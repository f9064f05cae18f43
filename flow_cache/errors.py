"""What goes wrong for reasons that a user can act on."""

from __future__ import annotations


class FlowCacheError(ValueError):
    """A fault in what was given: a video, a store, a setting. The message says what to do about it."""


class DamagedStoreError(FlowCacheError, OSError):
    """What a store holds cannot be read: its bytes are not those that were written, or the disk fails."""


class MissingFlowError(FlowCacheError):
    """A field that the store does not hold."""
