"""Labels that show other colours where they land."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache import precompute
from flow_cache.store import FlowStore
from slimdp.config import ConfigError
from slimdp.data import read_annotations
from slimdp.motion import ColourCheck, TransferSettings, propagate
from slimdp.synthetic.dataset import synthesize
from slimdp.synthetic.presets import PRESETS

SIDE = 64
#: Weighted Lab distance of the two, by hand from OpenCV's Lab of 8 bits: (136, 208, 195) and (82, 207, 20).
RED, BLUE = (255, 0, 0), (0, 0, 255)
RED_TO_BLUE = np.hypot(np.hypot(0.5 * (136 - 82), 208 - 207), 195 - 20)


@pytest.fixture
def halves(tmp_path: Path) -> tuple[Path, Path]:
    """Red on the left and blue on the right, and the same with sides changed."""
    image = np.full((SIDE, SIDE, 3), RED, np.uint8)
    image[:, SIDE // 2 :] = BLUE
    files = tmp_path / "a.png", tmp_path / "b.png"
    for file, shown in zip(files, (image, image[:, ::-1])):
        cv2.imwrite(str(file), shown[..., ::-1])
    return files


LEFT, RIGHT = np.array([[12.0, 30.0]]), np.array([[52.0, 30.0]])


def test_what_changes_its_colour_is_another_thing(halves: tuple[Path, Path]) -> None:
    a, b = halves
    check = ColourCheck(14)
    assert check.between(a, b, 1.0)(LEFT, RIGHT).tolist() == [True]  # red both times
    assert check.between(a, b, 1.0)(LEFT, LEFT).tolist() == [False]
    assert check.between(a, a, 1.0)(np.concatenate([LEFT, RIGHT]), np.concatenate([LEFT, LEFT])).tolist() == [
        True,
        False,
    ]


def test_the_limit_is_the_distance_of_the_colours(halves: tuple[Path, Path]) -> None:
    a, b = halves
    for limit, alike in ((RED_TO_BLUE - 1, False), (RED_TO_BLUE + 1, True)):
        assert ColourCheck(limit).between(a, b, 1.0)(LEFT, LEFT).tolist() == [alike]


def test_places_are_compared_at_the_persons_own_scale(halves: tuple[Path, Path]) -> None:
    """8 px from the border: within the reach of a large person's patch, not of a small one's."""
    a, _ = halves
    inside, near = np.array([[5.0, 30.0]]), np.array([[24.0, 30.0]])
    assert ColourCheck(14).between(a, a, 1.0)(inside, near).tolist() == [True]
    assert ColourCheck(14).between(a, a, 8.0)(inside, near).tolist() == [False]


def test_nobody_and_the_rim_are_no_trouble(halves: tuple[Path, Path]) -> None:
    a, b = halves
    alike = ColourCheck(14).between(a, b, 1.0)
    assert alike(np.zeros((0, 2)), np.zeros((0, 2))).shape == (0,)
    rim = np.array([[-0.5, -0.5], [63.5, 63.5]])
    assert alike(rim, rim[::-1]).tolist() == [True, True]


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_impossible_limits_are_refused(limit: float) -> None:
    with pytest.raises(ConfigError, match="colour limit"):
        ColourCheck(limit)


def test_it_drops_labels_of_a_propagation_and_says_why(tmp_path: Path) -> None:
    plan = PRESETS["smoke"].replace(stills=0, val_clips=0, train_clips=1, size=128)
    data = synthesize(tmp_path / "data", plan, seed=3, exact=False, quiet=True)
    clips = sorted((data / "images" / "clips").iterdir())
    precompute(clips, tmp_path / "flow.h5", (-1, 1), progress=False)
    labelled = read_annotations(data / "clips_train.json", data, read_masks=True)
    kept = []
    with FlowStore(tmp_path / "flow.h5") as store:
        for colours in (None, ColourCheck(1000), ColourCheck(8)):
            _, summary = propagate(labelled, store, (-2, 2), TransferSettings(), colours=colours)
            kept.append((summary.total.labels_out, summary.total.elsewhere))
    assert kept[0] == kept[1]
    assert kept[2][0] < kept[0][0]
    assert kept[2][1] > kept[0][1]
