"""Keypoints by name: vertices of the mesh's file, or places in its space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from slimdp.surface.charting.mesh_file import RawMesh

_SIDES = {"left_": "right_", "right_": "left_"}


def read_keypoints(path: Path, mesh: RawMesh) -> dict[str, np.ndarray]:
    """The place (3,) of each keypoint, in the mesh file's frame.

    The file is JSON or YAML: {name: the number of a vertex, from 0, or [x, y, z]}. Raises ValueError naming
    the keypoint that is neither.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no JSON or YAML: {error}") from error
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{path}: a name for each keypoint is wanted, as nose: 123")
    return {str(name): _place(f"{path}: {name}", value, mesh) for name, value in content.items()}


def _place(what: str, value: Any, mesh: RawMesh) -> np.ndarray:
    if type(value) is int and 0 <= value < len(mesh.vertices):
        return mesh.vertices[value]
    numbers = isinstance(value, list) and len(value) == 3 and all(type(v) in (int, float) for v in value)
    if numbers and np.isfinite(np.array(value, dtype=np.float64)).all():
        return np.array(value, dtype=np.float64)
    wanted = f"a vertex from 0 to {len(mesh.vertices) - 1}, or [x, y, z]"
    raise ValueError(f"{what}: {value!r}, but {wanted} is wanted")


def with_mirror_images(places: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Keypoints of a symmetric mesh, in its frame, with mirror images of left and right ones."""
    found = dict(places)
    for name, place in places.items():
        for side, other in _SIDES.items():
            if name.startswith(side):
                found.setdefault(other + name.removeprefix(side), place * [-1, 1, 1])
    return found
