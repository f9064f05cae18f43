"""Two pictures of a person: by a warp, and by the flow of a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from flow_cache import FlowWriter, MissingFlowError, VideoRecord, precompute
from slimdp.config import AugmentSettings, CropSettings, MotionSettings, WarpSettings
from slimdp.data import AnnotationError, AnnotationSet, PairSample, PoseDataset, PoseSample, collate
from slimdp.data.sampler import SampleIndex
from slimdp.geometry import apply_affine, invert_affine
from slimdp.maps import warp_maps
from slimdp.motion.pairs import PairDataset, make_pairs
from slimdp.structures import IGNORE, ImageRecord, LabelSource, PersonAnnotation
from slimdp.surface import UvSymmetry

WIDTH, HEIGHT, FRAMES = 96, 80, 6
SIZE, SIDE = 64, 16
CROP = CropSettings(size=SIZE, margin=0.1)
Annotate = Callable[..., PersonAnnotation]


def write_flow(
    path: Path, right: float, steps: Sequence[int] = (-1, 1), leave_out: tuple[int, int] = (9, 9)
) -> str:
    """A store in which all moves `right` px a frame."""
    record = VideoRecord(
        "clip", WIDTH, HEIGHT, tuple(f"{i:06d}.png" for i in range(FRAMES)), "clip", "1", "dis", "{}", "2"
    )
    with FlowWriter(path) as writer:
        writer.add_video(record, tuple(sorted(steps)))
        for step in steps:
            for frame in range(FRAMES):
                if 0 <= frame + step < FRAMES and (frame, step) != leave_out:
                    flow = np.zeros((2, HEIGHT, WIDTH), np.float32)
                    flow[0] = right * step
                    writer.write("clip", frame, step, flow)
    return str(path)


def people_of(annotations: AnnotationSet, augment: AugmentSettings | None = None) -> PoseDataset:
    return PoseDataset(annotations, CROP, augment, UvSymmetry(), seed=3)


def pair_of(people: PairDataset, number: int = 0) -> PairSample:
    sample = people[SampleIndex(number, 0)]
    assert isinstance(sample, PairSample)
    return sample


def in_image(sample: PoseSample, points: np.ndarray) -> np.ndarray:
    return apply_affine(invert_affine(sample.crop_from_image), points)


@pytest.mark.parametrize("step", [-1, 1])
def test_labels_follow_the_flow(one_label: AnnotationSet, tmp_path: Path, step: int) -> None:
    """The pictures of the clip move one px right in a frame: fails if a flow is read backwards."""
    store = write_flow(tmp_path / "flow.h5", 1.0)
    settings = MotionSettings(kind="flow", flow=store, frame_offsets=(step,), propagate=True)
    pair = pair_of(make_pairs(people_of(one_label), settings))
    points_0, points_1 = (in_image(sample, sample.points) for sample in (pair.first, pair.second))
    np.testing.assert_allclose(points_1, points_0 + [step, 0], atol=1e-3)
    np.testing.assert_array_equal(pair.second.part, pair.first.part)
    assert set(pair.second.source.tolist()) == {LabelSource.PROPAGATED}
    # The second crop goes with the person, so that it shows the same, and nothing moves between the crops.
    np.testing.assert_allclose(pair.flow_1to0, 0, atol=1e-4)
    assert np.abs(pair.first.image.astype(int) - pair.second.image).mean() < 1
    known = pair.second.coarse != IGNORE
    np.testing.assert_array_equal(pair.second.coarse[known], pair.first.coarse[known])
    assert known.mean() > 0.9
    np.testing.assert_allclose(pair.second.keypoints, pair.first.keypoints, atol=1e-3)


def test_the_second_crop_shows_the_other_frame(
    one_label: AnnotationSet, clip: list[ImageRecord], tmp_path: Path
) -> None:
    store = write_flow(tmp_path / "flow.h5", 1.0)
    cv2.imwrite(str(clip[3].file), np.full((HEIGHT, WIDTH, 3), (1, 2, 250), np.uint8))  # blue, green, red
    pair = pair_of(
        make_pairs(people_of(one_label), MotionSettings(kind="exact", exact=store, frame_offsets=(1,)))
    )
    assert (pair.second.image == (250, 2, 1)).all()
    assert len(pair.second.points) == 0
    assert (pair.second.coarse == IGNORE).all()
    assert (pair.second.keypoints == 0).all()


def test_a_wrong_flow_is_not_believed(one_label: AnnotationSet, tmp_path: Path) -> None:
    """The way back does not undo the way there: nobody knows where the person went."""
    both_right = tmp_path / "wrong.h5"
    record = VideoRecord(
        "clip", WIDTH, HEIGHT, tuple(f"{i:06d}.png" for i in range(FRAMES)), "clip", "1", "dis", "{}", "2"
    )
    with FlowWriter(both_right) as writer:
        writer.add_video(record, (-1, 1))
        for frame in range(FRAMES):
            for step in (-1, 1):
                if 0 <= frame + step < FRAMES:
                    writer.write("clip", frame, step, np.full((2, HEIGHT, WIDTH), 9, np.float32))
    settings = MotionSettings(kind="flow", flow=str(both_right), frame_offsets=(1,), propagate=True)
    assert isinstance(make_pairs(people_of(one_label), settings)[0], PoseSample)


def test_stills_and_frames_without_neighbours_are_alone(
    one_label: AnnotationSet, clip: list[ImageRecord], annotate: Annotate, tmp_path: Path
) -> None:
    store = write_flow(tmp_path / "flow.h5", 1.0)
    last = annotate(clip[-1])
    still = replace(annotate(clip[0]), image=replace(clip[0], video=None, frame=None))
    people = people_of(AnnotationSet((clip[-1], still.image), (last, still), Path("people.json")))
    pairs = make_pairs(people, MotionSettings(kind="flow", flow=store, frame_offsets=(1,)))
    assert [type(pairs[index]) for index in (0, 1)] == [PoseSample, PoseSample]
    backwards = make_pairs(people, MotionSettings(kind="flow", flow=store, frame_offsets=(-1, 1)))
    assert [type(backwards[index]) for index in (0, 1)] == [PairSample, PoseSample]


def test_what_the_store_lacks_is_told_before_training(
    one_label: AnnotationSet, clip: list[ImageRecord], annotate: Annotate, tmp_path: Path
) -> None:
    people = people_of(one_label)
    missing = write_flow(tmp_path / "missing.h5", 1.0, leave_out=(3, -1))
    with pytest.raises(MissingFlowError, match=r"frame 3, step -1 .*run: python -m flow_cache precompute"):
        make_pairs(people, MotionSettings(kind="flow", flow=missing, frame_offsets=(1,)))
    store = write_flow(tmp_path / "flow.h5", 1.0)
    other = replace(clip[2], width=WIDTH + 1)
    with pytest.raises(AnnotationError, match=r"is 97 x 80 px, but the flow .* frames of 96 x 80"):
        make_pairs(
            people_of(AnnotationSet((other,), (annotate(other),), None)),
            MotionSettings(kind="flow", flow=store),
        )
    clip[3].file.unlink()
    with pytest.raises(AnnotationError, match=r"000003.png: no such picture, wanted beside .*000002.png"):
        make_pairs(people, MotionSettings(kind="flow", flow=store, frame_offsets=(1,)))


def test_flow_of_other_pictures_is_refused(
    one_label: AnnotationSet, clip: list[ImageRecord], tmp_path: Path
) -> None:
    precompute([clip[0].file.parent], tmp_path / "flow.h5", (-1, 1), progress=False)
    settings = MotionSettings(kind="flow", flow=str(tmp_path / "flow.h5"), frame_offsets=(-1, 1))
    make_pairs(people_of(one_label), settings)
    cv2.imwrite(str(clip[4].file), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(AnnotationError, match=r"names are the same, the content is not; .* --out FLOW.h5$"):
        make_pairs(people_of(one_label), settings)


def test_a_warped_pair_agrees_with_its_picture(one_label: AnnotationSet) -> None:
    """The second picture is the first one read along the flow, and the labels lie on the same texture."""
    settings = MotionSettings(kind="tps", propagate=True)
    pairs = make_pairs(people_of(one_label), settings)
    moved = []
    for number in range(8):
        pair = pair_of(pairs, number)
        first = torch.from_numpy(pair.first.image).permute(2, 0, 1)[None].float()
        smooth = torch.nn.functional.avg_pool2d(first, 4)
        warped, inside = warp_maps(smooth, torch.from_numpy(pair.flow_1to0)[None])
        assert inside[0][torch.from_numpy(pair.valid_1)].all()
        second = torch.from_numpy(pair.second.image).permute(2, 0, 1)[None].float()
        difference = (warped - torch.nn.functional.avg_pool2d(second, 4)).abs().mean(1)[0]
        assert difference[pair.valid_1].mean() < 12
        unmoved = (smooth - torch.nn.functional.avg_pool2d(second, 4)).abs().mean(1)[0]
        moved.append((unmoved[pair.valid_1].mean() / difference[pair.valid_1].mean()).item())
        assert len(pair.second.points) >= 0.7 * len(pair.first.points)
        for point, part in zip(pair.second.points, pair.second.part, strict=True):
            assert part in pair.first.part
            assert ((point >= 0) & (point <= SIZE - 1)).all()
    assert np.mean(moved) > 1.5


@pytest.mark.parametrize("augment", [AugmentSettings(), AugmentSettings(occlusion=1.0)])
@pytest.mark.parametrize("kind", ["tps", "flow"])
def test_points_and_masks_agree_under_every_change(
    clip: list[ImageRecord], annotate: Annotate, tmp_path: Path, augment: AugmentSettings, kind: str
) -> None:
    """A person whose part of every point is that of the mask under it: so it stays, mirrored or not."""
    person = annotate(clip[2])
    coarse = np.zeros((256, 256), np.uint8)
    coarse[32:224, 64:128], coarse[32:224, 128:192] = 2, 3  # hands: right, then left
    x = (person.points[:, 0] - person.box[0]) * 256 / person.box[2]
    away = np.abs(x - 128) > 24
    kept = {name: getattr(person, name)[away] for name in ("points", "uv", "source", "step")}
    person = replace(person, **kept, part=np.where(x < 128, 3, 4)[away], coarse=coarse)
    store = write_flow(tmp_path / "flow.h5", 1.0)
    settings = MotionSettings(
        kind=kind, flow=store if kind == "flow" else "", frame_offsets=(-1, 1), propagate=True
    )
    pairs = make_pairs(people_of(AnnotationSet((clip[2],), (person,), None), augment), settings)
    coarse_of = {3: 2, 4: 3}
    agree = []
    for number in range(30):
        pair = pair_of(pairs, number)
        for sample in (pair.first, pair.second):
            column, row = np.floor((sample.points - 1.5) / 4 + 0.5).astype(int).clip(0, SIDE - 1).T
            label = sample.coarse[row, column]
            wanted = np.array([coarse_of[part] for part in sample.part])
            agree.extend((label == wanted)[(label != IGNORE) & (label != 0)].tolist())
    assert len(agree) > 200
    assert np.mean(agree) > 0.95


def test_a_draw_decides_about_everything(one_label: AnnotationSet, tmp_path: Path) -> None:
    store = write_flow(tmp_path / "flow.h5", 1.0)
    for settings in (
        MotionSettings(kind="tps", propagate=True),
        MotionSettings(kind="flow", flow=store, frame_offsets=(-1, 1)),
    ):
        pairs = make_pairs(people_of(one_label, AugmentSettings()), settings)
        once, again, other = pair_of(pairs, 5), pair_of(pairs, 5), pair_of(pairs, 6)
        np.testing.assert_array_equal(once.second.image, again.second.image)
        np.testing.assert_array_equal(once.flow_1to0, again.flow_1to0)
        assert (once.second.image != other.second.image).any()
        # The first crop is the one that training without motion sees.
        alone = people_of(one_label, AugmentSettings())[SampleIndex(5, 0)]
        np.testing.assert_array_equal(once.first.image, alone.image)


def test_batches_of_pairs_and_single_crops(one_label: AnnotationSet) -> None:
    pair = pair_of(make_pairs(people_of(one_label), MotionSettings(kind="tps", propagate=True)))
    batch = collate([pair.first, pair, pair])
    assert batch.images.shape == (5, 3, SIZE, SIZE)
    assert batch.pairs is not None
    assert batch.pairs.tolist() == [[1, 3], [2, 4]]
    assert batch.flow_1to0 is not None
    assert batch.flow_1to0.shape == (2, 2, SIDE, SIDE)
    assert batch.valid_1 is not None
    assert (batch.images[3].permute(1, 2, 0).numpy() == pair.second.image).all()
    counts = torch.bincount(batch.instance_index, minlength=5).tolist()
    assert counts == [len(pair.first.points)] * 3 + [len(pair.second.points)] * 2
    assert collate([pair.first]).pairs is None


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    from slimdp.config import ConfigError

    wrong: list[tuple[dict[str, Any], str]] = [
        ({"kind": "optical"}, "^kind = 'optical', but it must be one of none, tps, flow, exact"),
        ({"kind": "flow"}, "^flow = '', but it must be the path of a store of flow"),
        ({"kind": "exact", "flow": "a"}, "^exact = ''"),
        ({"frame_offsets": ()}, "^frame_offsets ="),
        ({"frame_offsets": (1, 0)}, "^frame_offsets ="),
        ({"threshold_px": 0.0}, "^threshold_px ="),
    ]
    for values, told in wrong:
        with pytest.raises(ConfigError, match=told):
            MotionSettings(**values)
    assert MotionSettings(kind="tps", warp=WarpSettings(bend=0)).store == ""
