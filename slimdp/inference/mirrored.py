"""Whether a network is asked twice: at a crop, and at its mirror image."""

from __future__ import annotations

from pathlib import Path

from slimdp.config import ModelSpec
from slimdp.surface import load_symmetry
from slimdp.surface.symmetry import UvSymmetry


def mirror_symmetry(flip_test: bool | None, spec: ModelSpec, surface: str | Path) -> UvSymmetry | None:
    """By which left and right the answers at mirrored crops are averaged with the others; None: they are not.

    Args:
        flip_test: None: where it can be done, which is for networks of crops, on a surface whose left and
            right are known.
        spec: of the network.
        surface: that it speaks of, as `slimdp.surface.load_surface` takes it.

    Raises:
        ValueError: it is asked for, and left and right of the surface are not known.
    """
    if flip_test is False or (flip_test is None and spec.input == "image"):
        return None
    try:
        return load_symmetry(surface)
    except ValueError:
        if flip_test:
            raise
        return None
