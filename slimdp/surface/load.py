"""Surfaces by name."""

from __future__ import annotations

from functools import cache

from slimdp.surface.body import BodySurface
from slimdp.surface.open_body import open_body

SURFACES = {"open": open_body}


@cache
def load_surface(name: str) -> BodySurface:
    """A surface by its name, the same object each time; ValueError with the choices for another name."""
    if name not in SURFACES:
        raise ValueError(f"no surface {name!r}; choose one of: {', '.join(SURFACES)}")
    return SURFACES[name]()
