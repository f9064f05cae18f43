from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from slimdp.config import ModelSpec
from slimdp.inference.mirrored import mirror_symmetry

CROPS = ModelSpec(stride=4, size_multiple=32)
PICTURES = replace(CROPS, input="image")


def test_networks_of_crops_look_twice_where_nothing_is_said() -> None:
    assert mirror_symmetry(None, CROPS, "open") is not None
    assert mirror_symmetry(True, CROPS, "open") is not None
    assert mirror_symmetry(False, CROPS, "open") is None
    assert mirror_symmetry(None, PICTURES, "open") is None


def test_a_surface_without_left_and_right_is_looked_at_once_unless_asked(tmp_path: Path) -> None:
    assert mirror_symmetry(None, CROPS, tmp_path) is None
    with pytest.raises(ValueError, match=r"UV_symmetry_transforms\.mat"):
        mirror_symmetry(True, CROPS, tmp_path)
