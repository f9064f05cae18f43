"""The import of libraries that only networks and detectors need, which may fail while the page works."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from slimdp.annotate.people import EditError

_LOG = logging.getLogger(__name__)


@contextmanager
def importing() -> Iterator[None]:
    """A block of imports alone; EditError where one of them fails, and why."""
    try:
        yield
    except Exception as error:  # torch without a CUDA library is an OSError, and tried again a RuntimeError
        if not isinstance(error, (ImportError, OSError)):
            _LOG.warning("an import failed", exc_info=True)
        raise EditError(not_loaded(error)) from error


def not_loaded(error: Exception) -> str:
    """What to say of an import that failed."""
    name = (getattr(error, "name", None) or "").partition(".")[0]
    what = name or ("a library" if "torch" in sys.modules else "torch")
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return (
        f"{what} cannot be loaded, which networks and detectors need: {reason}. Labelling by hand goes on; "
        "for them install it again, then start slimdp annotate again"
    )
