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

from flow_cache import FlowStore, FlowWriter, MissingFlowError, VideoRecord, precompute
from slimdp.config import AugmentSettings, ConfigError, CropSettings, TrainConfig
from slimdp.data import AnnotationError, AnnotationSet, PoseDataset, PoseSample
from slimdp.data.sampler import SampleIndex
from slimdp.geometry import apply_affine, invert_affine
from slimdp.losses.equivariance import warp_maps
from slimdp.motion import (
    PAIR_SOURCES,
    ExactMotion,
    FallingConfidence,
    FlowMotion,
    PairDataset,
    PairSample,
    RegionSettings,
    TpsMotion,
    collate_pairs,
    propagate,
    with_pairs,
)
from slimdp.motion.thin_plate import WarpSettings
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
    return PoseDataset(annotations, CROP, augment, UvSymmetry(), seed=3, stride=4)


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
    settings = FlowMotion(flow=store, frame_offsets=(step,), propagate=True)
    pair = pair_of(with_pairs(people_of(one_label), settings))
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
    pair = pair_of(with_pairs(people_of(one_label), ExactMotion(exact=store, frame_offsets=(1,))))
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
    settings = FlowMotion(flow=str(both_right), frame_offsets=(1,), propagate=True)
    assert isinstance(with_pairs(people_of(one_label), settings)[0], PoseSample)


def test_stills_and_frames_without_neighbours_are_alone(
    one_label: AnnotationSet, clip: list[ImageRecord], annotate: Annotate, tmp_path: Path
) -> None:
    store = write_flow(tmp_path / "flow.h5", 1.0)
    last = annotate(clip[-1])
    still = replace(annotate(clip[0]), image=replace(clip[0], video=None, frame=None))
    people = people_of(AnnotationSet((clip[-1], still.image), (last, still), Path("people.json")))
    pairs = with_pairs(people, FlowMotion(flow=store, frame_offsets=(1,)))
    assert [type(pairs[index]) for index in (0, 1)] == [PoseSample, PoseSample]
    backwards = with_pairs(people, FlowMotion(flow=store, frame_offsets=(-1, 1)))
    assert [type(backwards[index]) for index in (0, 1)] == [PairSample, PoseSample]


def test_what_the_store_lacks_is_told_before_training(
    one_label: AnnotationSet, clip: list[ImageRecord], annotate: Annotate, tmp_path: Path
) -> None:
    people = people_of(one_label)
    missing = write_flow(tmp_path / "missing.h5", 1.0, leave_out=(3, -1))
    with pytest.raises(MissingFlowError, match=r"frame 3, step -1 .*run: python -m flow_cache precompute"):
        with_pairs(people, FlowMotion(flow=missing, frame_offsets=(1,)))
    store = write_flow(tmp_path / "flow.h5", 1.0)
    other = replace(clip[2], width=WIDTH + 1)
    with pytest.raises(AnnotationError, match=r"is 97 x 80 px, but the flow .* frames of 96 x 80"):
        with_pairs(
            people_of(AnnotationSet((other,), (annotate(other),), None)),
            FlowMotion(flow=store),
        )
    clip[3].file.unlink()
    with pytest.raises(AnnotationError, match=r"000003.png: no such picture, wanted beside .*000002.png"):
        with_pairs(people, FlowMotion(flow=store, frame_offsets=(1,)))


def test_flow_of_stills_alone_is_refused(clip: list[ImageRecord], annotate: Annotate, tmp_path: Path) -> None:
    """Stills that were named in the place of clips would train without any motion, and nobody would see."""
    store = write_flow(tmp_path / "flow.h5", 1.0)
    still = replace(annotate(clip[0]), image=replace(clip[0], video=None, frame=None))
    people = people_of(AnnotationSet((still.image,), (still,), Path("people.json")))
    with pytest.raises(AnnotationError, match=r"no picture is known to be of a video \(vid_id\), .* stills"):
        with_pairs(people, FlowMotion(flow=store, frame_offsets=(1,)))


def test_flow_of_other_pictures_is_refused(
    one_label: AnnotationSet, clip: list[ImageRecord], tmp_path: Path
) -> None:
    precompute([clip[0].file.parent], tmp_path / "flow.h5", (-1, 1), progress=False)
    settings = FlowMotion(flow=str(tmp_path / "flow.h5"), frame_offsets=(-1, 1))
    with_pairs(people_of(one_label), settings)
    cv2.imwrite(str(clip[4].file), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(AnnotationError, match=r"names are the same, the content is not; .* --out FLOW.h5$"):
        with_pairs(people_of(one_label), settings)


def test_a_warped_pair_agrees_with_its_picture(one_label: AnnotationSet) -> None:
    """The second picture is the first one read along the flow, and the labels lie on the same texture."""
    settings = TpsMotion(propagate=True)
    pairs = with_pairs(people_of(one_label), settings)
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
    along = FlowMotion(flow=store, frame_offsets=(-1, 1), propagate=True)
    settings = along if kind == "flow" else TpsMotion(propagate=True)
    pairs = with_pairs(people_of(AnnotationSet((clip[2],), (person,), None), augment), settings)
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
        TpsMotion(propagate=True),
        FlowMotion(flow=store, frame_offsets=(-1, 1)),
    ):
        pairs = with_pairs(people_of(one_label, AugmentSettings()), settings)
        once, again, other = pair_of(pairs, 5), pair_of(pairs, 5), pair_of(pairs, 6)
        np.testing.assert_array_equal(once.second.image, again.second.image)
        np.testing.assert_array_equal(once.flow_1to0, again.flow_1to0)
        assert (once.second.image != other.second.image).any()
        # The first crop is the one that training without motion sees.
        alone = people_of(one_label, AugmentSettings())[SampleIndex(5, 0)]
        np.testing.assert_array_equal(once.first.image, alone.image)


def test_batches_of_pairs_and_single_crops(one_label: AnnotationSet) -> None:
    pair = pair_of(with_pairs(people_of(one_label), TpsMotion(propagate=True)))
    batch = collate_pairs([pair.first, pair, pair])
    assert batch.images.shape == (5, 3, SIZE, SIZE)
    assert batch.pairs is not None
    assert batch.pairs.tolist() == [[1, 3], [2, 4]]
    assert batch.flow_1to0 is not None
    assert batch.flow_1to0.shape == (2, 2, SIDE, SIDE)
    assert batch.valid_1 is not None
    assert (batch.images[3].permute(1, 2, 0).numpy() == pair.second.image).all()
    counts = torch.bincount(batch.instance_index, minlength=5).tolist()
    assert counts == [len(pair.first.points)] * 3 + [len(pair.second.points)] * 2
    assert collate_pairs([pair.first]).pairs is None


def motion_of(**values: Any) -> Any:
    stage = {"name": "a", "data": [{"annotations": "a", "images": "b"}], "steps": 1}
    return TrainConfig.parse({"stages": [stage], "motion": values}).motion


def test_settings_that_cannot_be() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"kind": "optical"}, "^motion.kind = 'optical', but it must be one of none, tps, flow, exact"),
        ({"kind": "flow"}, "^missing key motion.flow"),
        ({"kind": "flow", "flow": ""}, "^motion.flow = '', but it must be the path of a store of flow"),
        ({"kind": "exact", "flow": "a"}, "^missing key motion.exact"),
        ({"kind": "flow", "flow": "a", "frame_offsets": []}, "^motion.frame_offsets ="),
        ({"kind": "flow", "flow": "a", "frame_offsets": [1, 0]}, "^motion.frame_offsets ="),
        ({"kind": "flow", "flow": "a", "steps": [1]}, "^motion.steps is now motion.frame_offsets"),
        ({"kind": "flow", "flow": "a", "threshold_px": 0.0}, "^motion.threshold_px ="),
        ({"kind": "flow", "flow": "a", "regions": {"by": "limb"}}, "^motion.regions.by = 'limb'"),
        ({"kind": "flow", "flow": "a", "least_probability": 1.5}, "^motion.least_probability = 1.5"),
        ({"kind": "flow", "flow": "a", "least_probability": 0.5, "confidence": {}}, "^motion.confidence ="),
        ({"kind": "tps", "wrap": {}}, "^unknown key motion.wrap"),
    ]
    for values, told in wrong:
        with pytest.raises(ConfigError, match=told):
            motion_of(**values)


def test_a_run_may_hold_the_keys_of_several_kinds() -> None:
    both = {"flow": "f.h5", "exact": "e", "frame_offsets": [2], "warp": {"bend": 0}}
    assert motion_of(**both).kind == "none"
    assert motion_of(kind="tps", **both) == TpsMotion(warp=WarpSettings(bend=0))
    found = motion_of(kind="exact", regions={"by": "person"}, confidence={}, longest_hop=2, **both)
    assert (found.store, found.frame_offsets, found.reads_masks) == ("e", (2,), True)
    assert motion_of(kind="flow", **both) == FlowMotion(flow="f.h5", frame_offsets=(2,))
    assert list(PAIR_SOURCES) == ["none", "tps", "flow", "exact"]


@pytest.mark.parametrize("step", [-2, 3])
def test_steps_that_are_not_stored_are_chained(one_label: AnnotationSet, tmp_path: Path, step: int) -> None:
    short = write_flow(tmp_path / "short.h5", 1.0)
    pair = pair_of(
        with_pairs(people_of(one_label), FlowMotion(flow=short, frame_offsets=(step,), propagate=True))
    )
    points_0, points_1 = (in_image(sample, sample.points) for sample in (pair.first, pair.second))
    np.testing.assert_allclose(points_1, points_0 + [step, 0], atol=1e-3)
    direct = write_flow(tmp_path / "direct.h5", 1.0, steps=(-3, -2, -1, 1, 2, 3))
    settings = FlowMotion(flow=direct, frame_offsets=(step,), propagate=True, longest_hop=1)
    again = pair_of(with_pairs(people_of(one_label), settings))
    np.testing.assert_array_equal(again.second.points, pair.second.points)


def test_labels_pass_the_checks_of_propagation(
    one_label: AnnotationSet, clip: list[ImageRecord], annotate: Annotate, tmp_path: Path
) -> None:
    """By the same settings a pair keeps the labels, and trusts them, as `propagate` does."""
    store = write_flow(tmp_path / "flow.h5", 1.0)
    left = np.zeros((HEIGHT, WIDTH), dtype=bool)
    left[:, :48] = True
    nothing: dict[str, Any] = {
        "points": np.zeros((0, 2)), "part": np.zeros(0, np.int64), "uv": np.zeros((0, 2), np.float32),
        "source": np.zeros(0, np.int64), "step": np.zeros(0, np.int64), "coarse": None,
    }  # fmt: skip
    other = annotate(clip[3], **nothing, id=9, track=9, mask=left)
    both = replace(one_label, images=(clip[2], clip[3]), people=(*one_label.people, other))
    settings = FlowMotion(
        flow=store,
        frame_offsets=(1,),
        propagate=True,
        regions=RegionSettings(by="part"),
        confidence=FallingConfidence(per_frame=0.5),
    )
    pair = pair_of(with_pairs(people_of(both), settings))
    with FlowStore(store) as opened:
        found, _ = propagate(both, opened, (1,), settings, CROP)
    (moved,) = (person for person in found.people if person.image.id == clip[3].id and person.id != 9)
    assert 0 < len(moved.points) < len(pair.first.points)
    np.testing.assert_allclose(in_image(pair.second, pair.second.points), moved.points, atol=1e-3)
    np.testing.assert_allclose(pair.second.confidence, moved.confidence)
    alone = pair_of(with_pairs(people_of(both), FlowMotion(flow=store, frame_offsets=(1,), propagate=True)))
    assert len(alone.second.points) == len(alone.first.points)


@pytest.mark.parametrize(("right", "believed"), [(1.0, True), (-6.0, False)])
def test_the_learned_check_judges_pairs_as_it_judges_files(
    one_label: AnnotationSet, clip: list[ImageRecord], tmp_path: Path, right: float, believed: bool
) -> None:
    """The pictures move one px right in a frame; flow to the left shows other colours where it leads."""
    store = write_flow(tmp_path / "flow.h5", right)
    settings = FlowMotion(
        flow=store,
        frame_offsets=(1,),
        propagate=True,
        least_probability=0.2,
        regions=RegionSettings(by="none", outlines=False),
    )
    assert settings.reads_masks
    both = replace(one_label, images=(clip[2], clip[3]))
    pair = pair_of(with_pairs(people_of(both), settings))
    with FlowStore(store) as opened:
        found, _ = propagate(both, opened, (1,), settings, CROP, min_points=1)
    moved = [person for person in found.people if person.image.id == clip[3].id]
    assert len(pair.second.points) == sum(len(person.points) for person in moved)
    if believed:
        np.testing.assert_allclose(in_image(pair.second, pair.second.points), moved[0].points, atol=1e-3)
        np.testing.assert_allclose(pair.second.confidence, moved[0].confidence, atol=1e-3)
        assert len(pair.second.points) > 0.8 * len(pair.first.points)
    else:
        assert len(pair.second.points) < 0.5 * len(pair.first.points)
