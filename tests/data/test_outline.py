"""Where the annotation sees the person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from slimdp.config import CropSettings
from slimdp.data.box_frame import FRAME
from slimdp.data.crops import BORDER_RGB, crop_affine
from slimdp.data.outline import has_outline, hide_background, outline_in_crop
from slimdp.geometry import apply_affine, invert_affine
from slimdp.structures import IGNORE, PersonAnnotation
from tests.training.conftest import ellipse_labels, ellipse_person

CROP = CropSettings(size=64)


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> PersonAnnotation:
    return ellipse_person(tmp_path_factory.mktemp("person"), 1)


def masked(person: PersonAnnotation) -> PersonAnnotation:
    row, column = np.mgrid[0:96, 0:96]
    inside = ellipse_labels(np.stack([column.ravel(), row.ravel()], axis=1))[0].reshape(96, 96)
    return replace(person, coarse=None, mask=inside)  # type: ignore[arg-type]


@pytest.mark.parametrize("turn", [0, 30])
def test_the_outline_lies_where_the_ellipse_does(person: PersonAnnotation, turn: float) -> None:
    affine = crop_affine(person.box, CROP, rotation_deg=turn)
    row, column = np.mgrid[0:64, 0:64]
    places = apply_affine(invert_affine(affine), np.stack([column.ravel(), row.ravel()], axis=1))
    wanted = ellipse_labels(places)[0].reshape(64, 64)
    for one in (person, masked(person)):
        # At the rim a mask's pixel decides for the places within half a pixel of its centre.
        assert (outline_in_crop(one, affine, 64) != wanted).mean() < 0.02


def test_unknown_pixels_are_none_of_the_person(person: PersonAnnotation) -> None:
    unknown = replace(person, coarse=np.full((FRAME, FRAME), IGNORE, dtype=np.uint8))  # type: ignore[arg-type]
    assert not outline_in_crop(unknown, crop_affine(person.box, CROP), 64).any()


def test_the_background_becomes_grey_and_the_person_stays(person: PersonAnnotation) -> None:
    affine = crop_affine(person.box, CROP)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    hidden, shown = image.copy(), outline_in_crop(person, affine, 64)
    hide_background(hidden, person, affine)
    assert (hidden[~shown] == BORDER_RGB).all()
    np.testing.assert_array_equal(hidden[shown], image[shown])


def test_nobody_without_an_outline_is_cut_out(person: PersonAnnotation) -> None:
    bare = replace(person, coarse=None)  # type: ignore[arg-type]
    assert not has_outline(bare)
    with pytest.raises(ValueError, match=r"ellipse_1.png annotation 101: no coarse parts"):
        outline_in_crop(bare, crop_affine(person.box, CROP), 64)
