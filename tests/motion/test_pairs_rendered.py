"""Pairs of rendered frames along their exact flow, against the truth at every pixel."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from slimdp.config import AugmentSettings, CropSettings
from slimdp.data import PoseDataset, read_annotations
from slimdp.data.sampler import SampleIndex
from slimdp.geometry import apply_affine, invert_affine
from slimdp.motion import ExactMotion, PairSample, with_pairs
from slimdp.surface import BodySurface, load_surface, load_symmetry
from slimdp.synthetic.dataset import synthesize_preset
from tests.losses.cosine import cosine_loss

SIZE, SIDE = 128, 32


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered") / "set"
    changes = ["stills=1", "train_clips=3", "val_clips=0", "size=192"]
    synthesize_preset(folder, "smoke", 0, processes=1, overrides=changes)
    return folder


@pytest.fixture(scope="module")
def surface() -> BodySurface:
    return load_surface("open")


def truth_at(clips: Path, video: str, frame: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Part (N,) and uv (N, 2) at image px, nearest pixel; part 0 where nobody is, or outside."""
    iuv = cv2.imread(str(clips / "iuv" / "clips" / video / f"{frame:06d}.png"))[..., ::-1]
    column, row = np.floor(points + 0.5).astype(int).T
    inside = (column >= 0) & (column < iuv.shape[1]) & (row >= 0) & (row < iuv.shape[0])
    values = np.where(inside[:, None], iuv[row.clip(0, len(iuv) - 1), column.clip(0, iuv.shape[1] - 1)], 0)
    return values[:, 0].astype(np.int64), values[:, 1:] / 255


def perfect_features(
    clips: Path, surface: BodySurface, video: str, frame: int, crop_from_image: np.ndarray
) -> tuple[torch.Tensor, np.ndarray]:
    """What a perfect network could say: places on the resting body, (1, 3, h, w); and where anybody is."""
    centres = 4 * np.mgrid[:SIDE, :SIDE][::-1].reshape(2, -1).T + 1.5
    part, uv = truth_at(clips, video, frame, apply_affine(invert_affine(crop_from_image), centres))
    features = np.zeros((len(part), 3))
    seen = part > 0
    features[seen] = surface.positions(*surface.locate(part[seen], uv[seen]))
    maps = torch.from_numpy(features.T.reshape(1, 3, SIDE, SIDE)).float()
    return maps, seen.reshape(SIDE, SIDE)


def test_a_perfect_predictor_has_no_loss(clips: Path, surface: BodySurface) -> None:
    losses, still, backwards = [], [], []
    annotations = read_annotations(clips / "clips_train.json", clips)
    people = PoseDataset(
        annotations,
        CropSettings(size=SIZE),
        AugmentSettings(flip=False),
        load_symmetry("open"),
        0,
        stride=4,
    )
    pairs = with_pairs(people, ExactMotion(exact=str(clips / "flow_exact"), frame_offsets=(3,)))
    for index in range(len(pairs)):
        image = pairs.person(index).image
        pair = pairs[SampleIndex(0, index)]
        if not isinstance(pair, PairSample):
            continue
        assert image.frame is not None
        video = image.file.parent.name
        first, seen_0 = perfect_features(clips, surface, video, image.frame, pair.first.crop_from_image)
        second, seen_1 = perfect_features(clips, surface, video, image.frame + 3, pair.second.crop_from_image)
        # The loss looks at pixels between which the body is one smooth piece.
        core = [cv2.erode(seen.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0 for seen in (seen_0, seen_1)]
        valid = torch.from_numpy(pair.valid_1 & core[1])[None]
        if valid.sum() < 10:
            continue
        flow = torch.from_numpy(pair.flow_1to0)[None]
        losses.append(cosine_loss(second, first, flow, valid).item())
        still.append(cosine_loss(second, first, 0 * flow, valid).item())
        backwards.append(cosine_loss(second, first, -flow, valid).item())
    assert len(losses) >= 3
    # Not 0: the truth is read at the nearest pixel, and features between map pixels.
    assert np.median(losses) < 0.005, (losses, still)
    assert np.mean(losses) < 0.2 * np.mean(still) < 0.2 * np.mean(backwards)


@pytest.mark.parametrize("augment", [None, AugmentSettings()])
def test_carried_labels_lie_where_the_truth_is(
    clips: Path, surface: BodySurface, augment: AugmentSettings | None
) -> None:
    """Within 2 cm of the truth at the nearest pixel, nine of ten; the check lets a few hidden ones pass."""
    annotations = read_annotations(clips / "clips_train.json", clips)
    people = PoseDataset(
        annotations, CropSettings(size=SIZE), augment, load_symmetry("open"), seed=0, stride=4
    )
    settings = ExactMotion(exact=str(clips / "flow_exact"), frame_offsets=(1,), propagate=True)
    pairs = with_pairs(people, settings)
    error_m = []
    for index in range(len(pairs)):
        image = pairs.person(index).image
        assert image.frame is not None
        for number in range(4):
            pair = pairs[SampleIndex(number, index)]
            if not isinstance(pair, PairSample):
                continue
            sample = pair.second
            mirrored = np.linalg.det(sample.crop_from_image[:, :2]) < 0
            part, uv = (
                load_symmetry("open").flip(sample.part, sample.uv) if mirrored else (sample.part, sample.uv)
            )
            places = apply_affine(invert_affine(sample.crop_from_image), sample.points)
            said = truth_at(clips, image.file.parent.name, image.frame + 1, places)
            seen = said[0] > 0
            error_m.append(np.where(seen, 0.0, np.inf))
            error_m[-1][seen] = surface.distance_between(said[0][seen], said[1][seen], part[seen], uv[seen])
    errors = np.concatenate(error_m)
    assert len(errors) > 300
    assert (errors < 0.02).mean() > 0.9, np.quantile(errors, [0.5, 0.9, 0.95])
