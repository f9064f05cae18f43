"""Exact and fitted labels of rendered people: by hand on a flat person, and against the body's distances."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache.images import save_png
from slimdp.structures import ImageRecord, LabelSource, PersonAnnotation
from slimdp.surface import PEOPLE, BodySurface, load_surface
from slimdp.synthetic.surrogates import Misfit, fitted, px_per_cm, surrogate_labels
from slimdp.synthetic.truth import read_truth, truth_file

SIZE, SCALE = 160, 1.5  # px, px to a cm
NAMES = ("left_knee", "left_ankle", "right_knee", "right_ankle")
FOOT, SHIN = (1 + PEOPLE.coarse_parts.index(f"left {part}") for part in ("foot", "lower leg"))


@pytest.fixture(scope="module")
def surface() -> BodySurface:
    found = load_surface("open")
    assert isinstance(found, BodySurface)
    return found


@pytest.fixture(scope="module")
def iuv(surface: BodySurface) -> np.ndarray:
    """The body as it stands, seen from the front in parallel, SCALE px to a cm, about the left foot."""
    foot = PEOPLE.coarse_of_part[surface.face_part] == FOOT
    middle = surface.vertices[surface.faces[foot]].reshape(-1, 3).mean(axis=0)
    rng = np.random.default_rng(0)
    face = rng.integers(0, len(surface.faces), 400_000)
    weights = rng.dirichlet([1.0, 1.0, 1.0], len(face))
    space = surface.positions(face, weights)
    column, row = np.rint(100 * SCALE * (space - middle) * [1, -1, 1] + [80, 120, 0])[:, :2].astype(int).T
    order = np.argsort(space[:, 2], kind="stable")  # the nearest last
    order = order[((column >= 0) & (column < SIZE) & (row >= 0) & (row < SIZE))[order]]
    part, uv = surface.chart(face[order], weights[order])
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    picture[row[order], column[order]] = np.column_stack([part, np.rint(255 * np.clip(uv, 0, 1))])
    return picture


@pytest.fixture
def person(iuv: np.ndarray) -> PersonAnnotation:
    """The left leg has a knee above its ankle, the right one keypoints outside of the picture."""
    image = ImageRecord(1, Path("a.png"), "images/stills/a.png", SIZE, SIZE)
    ankle = np.argwhere(np.isin(PEOPLE.coarse_of_part[iuv[..., 0]], [FOOT]))[:, ::-1].mean(axis=0)
    keypoints = np.array([[*(ankle - [0, 60]), 2], [*ankle, 2], [0, 0, 0], [0, 0, 0]])
    none = np.zeros(0, np.int64)
    return PersonAnnotation(
        3, image, np.array([0.0, 0, SIZE, SIZE]), np.zeros((0, 2)), none,
        np.zeros((0, 2), np.float32), none, none, keypoints=keypoints, keypoint_names=NAMES,
        mask=iuv[..., 0] > 0,
    )  # fmt: skip


def test_the_scale_is_that_of_the_picture(iuv: np.ndarray, surface: BodySurface) -> None:
    assert px_per_cm(iuv, surface) == pytest.approx(SCALE, rel=0.1)
    assert px_per_cm(np.zeros_like(iuv), surface) is None


def test_exact_labels_are_the_truth_at_a_grid(
    person: PersonAnnotation, iuv: np.ndarray, surface: BodySurface
) -> None:
    found = surrogate_labels(person, iuv, surface, 5, None, np.random.default_rng(0))
    wanted = [
        (column, row) for row in range(2, SIZE, 5) for column in range(2, SIZE, 5) if iuv[row, column, 0]
    ]
    assert found.points.tolist() == [list(map(float, place)) for place in wanted]
    for (x, y), part, uv in zip(wanted, found.part, found.uv):
        assert part == iuv[y, x, 0]
        assert uv == pytest.approx(iuv[y, x, 1:] / 255, abs=1e-6)
    assert (found.source == LabelSource.ANNOTATOR).all()
    assert found.mask is not None
    assert np.array_equal(found.mask, person.mask)
    coarse = cv2.resize(
        PEOPLE.coarse_of_part[iuv[..., 0]].astype(np.uint8), (256, 256), interpolation=cv2.INTER_NEAREST
    )
    assert found.coarse is not None
    assert (found.coarse == coarse).mean() > 0.97


def test_a_fit_moves_the_end_of_a_limb_by_its_cm(
    person: PersonAnnotation, iuv: np.ndarray, surface: BodySurface, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the random part: up the picture, towards the knee; other parts stay, but for what is hidden."""
    monkeypatch.setattr("slimdp.synthetic.surrogates._SCATTER", 0.0)
    moved = fitted(person, iuv, surface, Misfit(8, 0), np.random.default_rng(0))
    scale = px_per_cm(iuv, surface)
    assert scale is not None
    before, after = (
        np.argwhere(PEOPLE.coarse_of_part[each[..., 0]] == FOOT).mean(axis=0) for each in (iuv, moved)
    )
    assert after[0] - before[0] == pytest.approx(-8 * scale, rel=0.2)
    assert abs(after[1] - before[1]) < 2
    mine = np.isin(PEOPLE.coarse_of_part[iuv[..., 0]], [FOOT, SHIN])
    covered = np.isin(PEOPLE.coarse_of_part[moved[..., 0]], [FOOT, SHIN])
    assert np.array_equal(moved[~mine & ~covered], iuv[~mine & ~covered])
    far_up = np.argwhere(mine)[:, 0].min()
    assert np.array_equal(moved[: far_up - 20], iuv[: far_up - 20])


def test_the_random_part_is_of_the_generator_and_0_cm_is_exact(
    person: PersonAnnotation, iuv: np.ndarray, surface: BodySurface
) -> None:
    assert np.array_equal(fitted(person, iuv, surface, Misfit(0, 0), np.random.default_rng(0)), iuv)
    first, again, other = (
        fitted(person, iuv, surface, Misfit(8, 5), np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_cannot_be_is_refused(person: PersonAnnotation, iuv: np.ndarray, tmp_path: Path) -> None:
    for feet_cm, hands_cm in ((-1.0, 0.0), (0.0, 15.0), (float("nan"), 0.0)):
        with pytest.raises(ValueError, match="less than 15 is wanted"):
            Misfit(feet_cm, hands_cm)
    image = person.image
    with pytest.raises(ValueError, match="not the folder of a rendered set"):
        read_truth(tmp_path, image)
    assert truth_file(tmp_path, image) == tmp_path / "iuv/stills/a.png"
    save_png(tmp_path / "iuv/stills/a.png", iuv[:5])
    with pytest.raises(ValueError, match="has 160 x 5 px, but its picture 160 x 160"):
        read_truth(tmp_path, image)
    save_png(tmp_path / "iuv/stills/a.png", iuv)
    assert np.array_equal(read_truth(tmp_path, image), iuv)
