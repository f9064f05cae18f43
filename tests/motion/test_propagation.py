"""Labels propagated through clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flow_cache import FlowStore, MissingFlowError, precompute
from slimdp.config import BudgetSettings, ConfigError, CropSettings
from slimdp.data import (
    AnnotationError,
    AnnotationSet,
    apply_budget,
    count_clicks,
    read_annotations,
    write_annotations,
)
from slimdp.motion import (
    FallingConfidence,
    RegionSettings,
    TransferResult,
    TransferSettings,
    propagate,
)
from slimdp.structures import IGNORE, ImageRecord, LabelSource, PersonAnnotation
from tests.motion.no_labels import NO_LABELS

Annotate = Callable[..., PersonAnnotation]


def by_frame(annotations: AnnotationSet) -> dict[int, list[PersonAnnotation]]:
    frames: dict[int, list[PersonAnnotation]] = {}
    for person in annotations.people:
        assert person.image.frame is not None
        frames.setdefault(person.image.frame, []).append(person)
    return frames


def test_labels_follow_a_one_pixel_shift(one_label: AnnotationSet, shift_flow: Any) -> None:
    """Fails if a flow is read backwards, or from the wrong frame."""
    found, summary = propagate(one_label, shift_flow(1, 0))
    frames = by_frame(found)
    assert sorted(frames) == [0, 1, 2, 3, 4, 5]
    label = one_label.people[0]
    for frame, (person,) in frames.items():
        step = frame - 2
        np.testing.assert_allclose(person.points, label.points + np.array([step, 0]), atol=1e-4)
        assert set(person.step.tolist()) == {step}
        assert set(person.source.tolist()) == {LabelSource.PROPAGATED if step else LabelSource.ANNOTATOR}
    assert summary.total.people == 5  # frame -1 is not in the clip
    assert (summary.labels, summary.total.labels_in, summary.total.labels_out) == (20, 100, 100)


def test_with_a_real_store_and_estimated_flow(
    one_label: AnnotationSet, clip: list[ImageRecord], tmp_path: Path
) -> None:
    precompute([tmp_path / "clip"], tmp_path / "flow.h5", steps=(-2, -1, 1, 2), progress=False)
    with FlowStore(tmp_path / "flow.h5") as store:
        found, summary = propagate(one_label, store, steps=(-2, -1, 1, 2))
    label = one_label.people[0]
    assert summary.total.people == 4
    for frame, (person,) in by_frame(found).items():
        assert len(person.points) >= 18
        moved = [label.points[(label.uv == uv).all(axis=1)][0] + [frame - 2, 0] for uv in person.uv]
        # A reversed flow would be off by twice the motion: 2 or 4 px.
        assert np.abs(person.points - moved).mean() < 0.4


def test_flow_near_people_alone_carries_labels_as_well(
    one_label: AnnotationSet, clip: list[ImageRecord], tmp_path: Path
) -> None:
    """The annotation file itself says where the people are."""
    write_annotations(tmp_path / "people.json", one_label.images, one_label.people)
    found = []
    for name, around in (("whole", None), ("near", tmp_path / "people.json")):
        path = tmp_path / f"{name}.h5"
        precompute([tmp_path / "clip"], path, steps=(-2, -1, 1, 2), around=around, progress=False)
        with FlowStore(path) as store:
            found.append(propagate(one_label, store, steps=(-2, -1, 1, 2)))
            if around:
                assert store.finished("clip", 1).tolist() == [False, True, True, False, False, False]
                assert not store.read("clip", 2, 1).valid.all()
    (whole, summary), (near, other) = found
    assert summary == other
    for a, b in zip(whole.people, near.people, strict=True):
        np.testing.assert_array_equal(a.points, b.points)
        np.testing.assert_array_equal(a.box, b.box)
        np.testing.assert_array_equal(a.coarse, b.coarse)


def test_labels_whose_flow_is_not_stored_are_lost_and_no_others(
    one_label: AnnotationSet, known_flow: Any
) -> None:
    """Flow known left of x = 46 alone, where half of the person is: nothing else may come of it."""

    def displacement(x: np.ndarray, y: np.ndarray, step: int) -> np.ndarray:
        return np.stack([np.where(x < 46, step + 0.0, np.nan), np.where(x < 46, 0 * y, np.nan)])

    found, summary = propagate(one_label, known_flow(displacement), steps=(1,), min_points=1)
    label, (person,) = one_label.people[0], by_frame(found)[3]
    # Read bilinearly from pixels 45 and less, both there and back.
    kept = label.points[:, 0] <= 44
    assert 0 < kept.sum() < 20
    np.testing.assert_allclose(person.points, label.points[kept] + [1, 0], atol=1e-6)
    assert (summary.total.labels_out, summary.total.inconsistent) == (kept.sum(), 20 - kept.sum())
    np.testing.assert_allclose(person.box, label.box + [1, 0, 0, 0], atol=1e-6)
    assert person.keypoints is not None
    assert np.isfinite(person.keypoints).all()
    assert person.coarse is not None
    columns = (np.arange(256) + 0.5) / 256 * person.box[2] + person.box[0]
    assert (person.coarse[:, columns > 46] == IGNORE).all()
    assert (person.coarse[:, columns < 44] != IGNORE).all()


def test_result_is_an_ordinary_annotation_file(
    one_label: AnnotationSet, shift_flow: Any, tmp_path: Path
) -> None:
    found, _ = propagate(one_label, shift_flow(2.3, -1.7))
    write_annotations(tmp_path / "more.json", found.images, found.people)
    read = read_annotations(tmp_path / "more.json", tmp_path)
    assert [image.file for image in read.images] == [image.file for image in found.images]
    assert len({person.id for person in read.people}) == len(read.people) == 6
    for a, b in zip(read.people, found.people):
        np.testing.assert_allclose(a.points, b.points, atol=1e-6)
        np.testing.assert_array_equal(a.coarse, b.coarse)
        np.testing.assert_array_equal(a.step, b.step)
        assert a.image.labelled


def test_listed_frames_keep_their_records(
    clip: list[ImageRecord], annotate: Annotate, shift_flow: Any
) -> None:
    listed = [image if image.frame == 2 else replace(image, labelled=False) for image in clip[:4]]
    other = annotate(listed[3], x=3, y=3, **NO_LABELS, track=9, id=50)
    found, _ = propagate(AnnotationSet(tuple(listed), (annotate(listed[2]), other)), shift_flow(1, 0))
    assert [image.id for image in found.images] == [10, 11, 12, 13, 14, 15]
    assert [image.frame for image in found.images] == [0, 1, 2, 3, 4, 5]
    assert all(image.labelled for image in found.images)
    assert [person.id for person in by_frame(found)[3]] == [50, by_frame(found)[3][1].id]
    images = {image.id: image for image in found.images}
    assert all(person.image is images[person.image.id] for person in found.people)


def test_unlabelled_person_of_the_same_track_takes_the_labels(
    clip: list[ImageRecord], annotate: Annotate, shift_flow: Any
) -> None:
    known = annotate(clip[3], x=31, **NO_LABELS, id=77)
    found, _ = propagate(AnnotationSet(tuple(clip), (annotate(clip[2]), known)), shift_flow(1, 0), steps=(1,))
    assert len(found.people) == 2
    person = by_frame(found)[3][0]
    assert (person.id, len(person.points)) == (77, 20)
    np.testing.assert_array_equal(person.box, known.box)


def test_the_nearer_label_wins_and_annotated_frames_stay(
    clip: list[ImageRecord], annotate: Annotate, shift_flow: Any
) -> None:
    people = (annotate(clip[0]), annotate(clip[5], x=35))
    found, summary = propagate(
        AnnotationSet((clip[0], clip[5]), people), shift_flow(1, 0), steps=(-4, -3, -2, -1, 1, 2, 3, 4, 5)
    )
    steps = {frame: sorted({int(p.step[0]) for p in people}) for frame, people in by_frame(found).items()}
    assert steps == {0: [0], 1: [1], 2: [2], 3: [-2], 4: [-1], 5: [0]}
    assert summary.total.people == 4
    assert summary.total.frames == 4


def arrivals_by_frame(found: AnnotationSet) -> dict[int, list[tuple[float, int]]]:
    """The left side of each box, and how many frames its labels came."""
    return {
        frame: sorted((round(float(p.box[0]), 3), int(p.step[0])) for p in people)
        for frame, people in by_frame(found).items()
    }


@pytest.mark.parametrize("masks", [True, False])
def test_without_tracks_the_nearer_label_wins_too(
    clip: list[ImageRecord], annotate: Annotate, shift_flow: Any, masks: bool
) -> None:
    """COCO's annotation ids are unique: they tell nobody again in another frame."""
    known: dict[str, Any] = {"track": None} if masks else {"track": None, "coarse": None}
    first, last = annotate(clip[0], **known), annotate(clip[5], x=35, id=6, **known)
    found, summary = propagate(AnnotationSet((clip[0], clip[5]), (first, last)), shift_flow(1, 0))
    steps = {frame: [step for _, step in there] for frame, there in arrivals_by_frame(found).items()}
    assert steps == {0: [0], 1: [1], 2: [2], 3: [-2], 4: [-1], 5: [0]}
    assert (summary.total.people, summary.total.taken, summary.total.labels_in) == (4, 2, 80)
    # One of the frames may know the track.
    for people in ((first, replace(last, track=3)), (replace(first, track=3), last)):
        again, _ = propagate(AnnotationSet((clip[0], clip[5]), people), shift_flow(1, 0))
        assert arrivals_by_frame(again) == arrivals_by_frame(found)


def test_two_people_without_tracks_stay_two(
    clip: list[ImageRecord], annotate: Annotate, shift_flow: Any
) -> None:
    """Boxes that overlap by two thirds, whose masks share little more than half: each finds its own."""
    known: dict[str, Any] = {"track": None}
    people = (
        annotate(clip[0], x=30, id=1, **known),
        annotate(clip[0], x=36, id=2, **known),
        annotate(clip[5], x=41, id=3, **known),
        annotate(clip[5], x=35, id=4, **known),
    )
    settings = TransferSettings(regions=RegionSettings(by="none", outlines=False))
    found, _ = propagate(AnnotationSet((clip[0], clip[5]), people), shift_flow(1, 0), settings=settings)
    assert arrivals_by_frame(found) == {
        0: [(30, 0), (36, 0)],
        1: [(31, 1), (37, 1)],
        2: [(32, 2), (38, 2)],
        3: [(33, -2), (39, -2)],
        4: [(34, -1), (40, -1)],
        5: [(35, 0), (41, 0)],
    }
    # Who is not in the nearer frame comes from the other.
    found, _ = propagate(
        AnnotationSet((clip[0], clip[5]), (people[0], *people[2:])), shift_flow(1, 0), settings=settings
    )
    assert arrivals_by_frame(found)[2] == [(32, 2), (38, -3)]


def test_the_next_label_takes_the_place_of_a_lost_one(
    clip: list[ImageRecord], annotate: Annotate, known_flow: Any
) -> None:
    def displacement(x: np.ndarray, y: np.ndarray, step: int) -> np.ndarray:
        # Single steps are inconsistent: both ways point to the right.
        return np.stack([x * 0 + (9 if abs(step) == 1 else step), y * 0])

    people = (annotate(clip[0]), annotate(clip[3], x=33))
    found, summary = propagate(AnnotationSet((clip[0], clip[3]), people), known_flow(displacement))
    assert {int(p.step[0]) for p in by_frame(found)[1]} == {-2}
    assert dict(summary.steps)[1].people_dropped == 2
    assert dict(summary.steps)[1].inconsistent == 40


def test_two_people_in_a_frame_are_two_tracks(
    clip: list[ImageRecord], annotate: Annotate, shift_flow: Any
) -> None:
    people = (
        annotate(clip[2]),
        annotate(clip[2], x=50, id=6, track=3),
        annotate(clip[2], x=5, id=8, track=None),
    )
    store = shift_flow(1, 0)
    found, summary = propagate(AnnotationSet((clip[2],), people), store, steps=(1,))
    assert [person.track for person in by_frame(found)[3]] == [2, 3, None]
    assert (summary.total.frames, summary.total.people) == (1, 3)
    assert store.reads == [(2, 1), (3, -1)]  # once for all


def test_threshold_is_in_px_of_a_256_px_crop(one_label: AnnotationSet, known_flow: Any) -> None:
    """The person's crop is 40 px wide without margin: 5 px of 256 are 0.78 px of the image."""

    def off_by(error_px: float) -> Any:
        return known_flow(lambda x, y, step: np.stack([x * 0 + step + (error_px if step < 0 else 0), y * 0]))

    def people(error_px: float, margin: float) -> int:
        crop = CropSettings(margin=margin)
        return propagate(one_label, off_by(error_px), steps=(1,), crop=crop)[1].total.people

    assert people(0.77, 0) == 1
    assert people(0.80, 0) == 0
    assert people(1.55, 0.5) == 1
    assert people(1.58, 0.5) == 0


def test_too_few_labels_drop_the_person(one_label: AnnotationSet, known_flow: Any) -> None:
    columns = np.sort(one_label.people[0].points[:, 0])
    edge = (columns[3] + columns[4]) / 2  # four points lie left of it

    def displacement(x: np.ndarray, y: np.ndarray, step: int) -> np.ndarray:
        return np.stack([np.where(x > edge + 0.0, 30.0 * abs(step), 0 * x), y * 0])

    _, summary = propagate(one_label, known_flow(displacement), steps=(1,), min_points=5)
    count = summary.total
    assert (count.people, count.people_dropped, count.labels_out) == (0, 1, 0)
    assert 0 < count.with_person <= 4
    assert count.labels_in == count.outside + count.inconsistent + count.with_person
    _, summary = propagate(one_label, known_flow(displacement), steps=(1,), min_points=count.with_person)
    assert summary.total.labels_out == count.with_person


def test_masks_without_points_move_too(clip: list[ImageRecord], annotate: Annotate, shift_flow: Any) -> None:
    coarse = annotate(clip[2]).coarse
    person = annotate(clip[2], **{**NO_LABELS, "coarse": coarse})
    found, summary = propagate(AnnotationSet((clip[2],), (person,)), shift_flow(1, 0), steps=(1,))
    np.testing.assert_array_equal(by_frame(found)[3][0].coarse, coarse)
    assert summary.total.people == 1


def test_twice_is_once(one_label: AnnotationSet, shift_flow: Any) -> None:
    once, _ = propagate(one_label, shift_flow(1, 0))
    twice, summary = propagate(once, shift_flow(1, 0))
    assert len(twice.people) == len(once.people)
    assert summary.total.people == 0


def test_masks_and_keypoints_alone_are_known_to_have_come(
    clip: list[ImageRecord], annotate: Annotate, shift_flow: Any, tmp_path: Path
) -> None:
    """Without a point that says so, the person itself does, in the file too."""
    person = annotate(clip[2], **{**NO_LABELS, "coarse": annotate(clip[2]).coarse})
    once, _ = propagate(AnnotationSet((clip[2],), (person,)), shift_flow(1, 0))
    assert count_clicks(once.people) == count_clicks([person])
    write_annotations(tmp_path / "more.json", once.images, once.people)
    read = read_annotations(tmp_path / "more.json", tmp_path)
    assert [p.propagated for p in read.people] == [False] + 5 * [True]
    assert [p.was_carried for p in read.people] == [False] + 5 * [True]
    assert count_clicks(read.people) == count_clicks([person])
    twice, summary = propagate(read, shift_flow(1, 0))
    assert (len(twice.people), summary.labelled_people) == (6, 1)
    with pytest.raises(AnnotationError, match="its labels were propagated by flow"):
        apply_budget(read, BudgetSettings(images=0.5))
    fewer = apply_budget(read, BudgetSettings(keypoints="dropped"))
    assert [p.propagated for p in fewer.people] == [False] + 5 * [True]


def test_stills_and_crowds_stay_where_they_are(
    clip: list[ImageRecord], annotate: Annotate, shift_flow: Any
) -> None:
    still = replace(clip[0], video=None, frame=None)
    people = (annotate(still), annotate(clip[2], crowd=True))
    annotations = AnnotationSet((still, clip[2]), people)
    found, summary = propagate(annotations, shift_flow(1, 0))
    assert (found.images, len(found.people), summary.labelled_people) == (annotations.images, 2, 0)


def test_a_picture_alone_and_without_flow_stays_where_it_is(
    one_label: AnnotationSet, clip: list[ImageRecord], annotate: Annotate, shift_flow: Any
) -> None:
    """A video of one frame has no flow; one whose other pictures are there lacks it."""
    file = clip[0].file.parent.parent / "other" / "000002.png"
    file.parent.mkdir()
    file.write_bytes(clip[2].file.read_bytes())
    alone = replace(clip[2], id=99, file=file, file_name="other/000002.png", video="v2")
    both = AnnotationSet((clip[2], alone), (*one_label.people, annotate(alone, id=6)))
    found, summary = propagate(both, shift_flow(1, 0), steps=(1,))
    assert [(person.image.video, person.image.frame) for person in found.people] == [
        ("v1", 2),
        ("v2", 2),
        ("v1", 3),
    ]
    assert summary.labelled_people == 1
    file.with_name("000003.png").write_bytes(file.read_bytes())
    with pytest.raises(MissingFlowError):
        propagate(both, shift_flow(1, 0), steps=(1,))


@pytest.mark.parametrize("steps", [(), (0, 1)])
def test_impossible_steps(one_label: AnnotationSet, shift_flow: Any, steps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="none of them 0"):
        propagate(one_label, shift_flow(1, 0), steps=steps)


def test_clear_errors(
    one_label: AnnotationSet, clip: list[ImageRecord], annotate: Annotate, shift_flow: Any
) -> None:
    clip[3].file.unlink()
    with pytest.raises(AnnotationError, match=r"000003\.png: no such picture"):
        propagate(one_label, shift_flow(1, 0), steps=(1,))
    small = replace(clip[2], width=90)
    with pytest.raises(ValueError, match=r"is 90 x 80 px, but the flow .* 96 x 80 px"):
        propagate(AnnotationSet((small,), (annotate(small),)), shift_flow(1, 0), steps=(-1,))
    elsewhere = replace(clip[2], file=clip[2].file.with_name("000009.png"))
    with pytest.raises(AnnotationError, match=r"no frame 000009\.png in the flow of video 'clip'"):
        propagate(AnnotationSet((elsewhere,), (annotate(elsewhere),)), shift_flow(1, 0))
    unknown = replace(clip[2], file=clip[2].file.parent.parent / "other" / "000002.png")
    with pytest.raises(MissingFlowError):
        propagate(AnnotationSet((unknown,), (annotate(unknown),)), shift_flow(1, 0))


def test_chained_hops_carry_as_the_direct_flow_does(one_label: AnnotationSet, shift_flow: Any) -> None:
    steps = (-2, 1, 2, 3)
    (direct, one_hop), (chained, hops) = (
        propagate(one_label, shift_flow(1.25, -0.5, reach=reach), steps) for reach in (3, 1)
    )
    assert [count.hops for _, count in one_hop.steps] == [1, 1, 1, 1]
    assert [count.hops for _, count in hops.steps] == [2, 1, 2, 3]
    assert one_hop.total.labels_out == hops.total.labels_out == 80
    for a, b in zip(direct.people, chained.people, strict=True):
        np.testing.assert_allclose(a.points, b.points, atol=1e-4)
        np.testing.assert_allclose(a.box, b.box, atol=1e-4)
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-4)
        np.testing.assert_array_equal(a.coarse, b.coarse)


def test_longest_hop(one_label: AnnotationSet, shift_flow: Any) -> None:
    store = shift_flow(1, 0)
    _, summary = propagate(one_label, store, steps=(3,), settings=TransferSettings(longest_hop=1))
    assert summary.total.hops == 3
    assert {abs(step) for _, step in store.reads} == {1}
    with pytest.raises(ConfigError, match="longest_hop = 0, but it must be positive"):
        TransferSettings(longest_hop=0)


def test_confidence_multiplies_what_the_label_had(one_label: AnnotationSet, shift_flow: Any) -> None:
    label = replace(one_label.people[0], confidence=np.linspace(0.1, 1, 20, dtype=np.float32))
    people = replace(one_label, people=(label,))
    falling = FallingConfidence(per_frame=0.5, per_hop=0.8)
    found, _ = propagate(people, shift_flow(1, 0, reach=2), (3,), TransferSettings(confidence=falling))
    (propagated,) = by_frame(found)[5]
    np.testing.assert_allclose(propagated.confidence, 0.5**3 * 0.8 * label.confidence, rtol=1e-5)
    untouched, _ = propagate(people, shift_flow(1, 0, reach=2), (3,))
    np.testing.assert_array_equal(by_frame(untouched)[5][0].confidence, label.confidence)
    assert by_frame(propagate(one_label, shift_flow(1, 0), (3,))[0])[5][0].confidence is None


def test_inconsistency_costs_trust(one_label: AnnotationSet, known_flow: Any) -> None:
    """Ways there and back that differ by a quarter of a px of the image: 1.2308 px of the 256 px crop."""
    flow = known_flow(lambda x, y, step: np.stack([x * 0 + step + (0.25 if step < 0 else 0), y * 0]))
    falling = FallingConfidence(per_frame=1, per_hop=1, per_px=0.5)
    found, _ = propagate(one_label, flow, (1,), TransferSettings(confidence=falling))
    np.testing.assert_allclose(by_frame(found)[3][0].confidence, 0.5 ** (0.25 * 256 / 52), rtol=1e-4)


def test_a_label_in_the_last_frame_goes_back_alone(
    clip: list[ImageRecord], annotate: Annotate, shift_flow: Any
) -> None:
    people = AnnotationSet((clip[5],), (annotate(clip[5]),))
    found, summary = propagate(people, shift_flow(1, 0))
    assert sorted(by_frame(found)) == [2, 3, 4, 5]
    counts = dict(summary.steps)
    assert [counts[step].past_end for step in (-3, -2, -1, 1, 2, 3)] == [0, 0, 0, 1, 1, 1]
    assert "past the end" in summary.table()


def test_who_leaves_the_picture_is_told(one_label: AnnotationSet, shift_flow: Any) -> None:
    """At 22 px a frame the person, at 30 to 62 of 96 px, is half out after two frames, gone after three."""
    found, summary = propagate(one_label, shift_flow(22, 0), steps=(1, 2, 3))
    counts = dict(summary.steps)
    assert [counts[step].people for step in (1, 2, 3)] == [1, 1, 0]
    assert [counts[step].people_left for step in (1, 2, 3)] == [0, 0, 1]
    assert counts[2].outside > 0
    assert counts[3].labels_out == 0
    assert sorted(by_frame(found)) == [2, 3, 4]
    for person in found.people:
        assert (person.points <= [95.5, 79.5]).all()
        assert (person.box[:2] + person.box[2:] <= [96, 80]).all()


def test_annotated_frames_are_counted_as_taken(
    clip: list[ImageRecord], annotate: Annotate, shift_flow: Any
) -> None:
    people = (annotate(clip[0]), annotate(clip[2]))
    _, summary = propagate(AnnotationSet((clip[0], clip[2]), people), shift_flow(1, 0), steps=(1, 2))
    counts = dict(summary.steps)
    assert (counts[1].people, counts[1].taken) == (2, 0)
    assert (counts[2].people, counts[2].taken) == (1, 1)


def test_summary_adds_up(one_label: AnnotationSet, shift_flow: Any, known_flow: Any) -> None:
    flows = (shift_flow(20, 0), known_flow(lambda x, y, step: np.stack([x * 0 + (x > 50) * 9, y * 0])))
    for flow in flows:
        _, summary = propagate(one_label, flow)
        for _, c in (*summary.steps, ("all", summary.total)):
            assert c.labels_in == c.labels_out + c.outside + c.inconsistent + c.elsewhere + c.with_person
            ignored = c.pixels_outside + c.pixels_inconsistent + c.pixels_unknown
            assert c.pixels_in == c.pixels_out + ignored
            assert c.pixels_in == 256 * 256 * c.people
        for _, c in summary.steps:
            assert c.people + c.people_dropped + c.past_end + c.taken == summary.labelled_people


def test_summary_as_text_and_json(one_label: AnnotationSet, shift_flow: Any) -> None:
    _, summary = propagate(one_label, shift_flow(20, 0))
    start, *blocks = summary.table().split("\n\n")
    assert start == "20 labels of 1 person in 1 labelled frame"
    assert len(blocks) == 3
    for block in blocks:
        lines = block.splitlines()
        assert [line.split()[0] for line in lines[1:]] == ["-3", "-2", "-1", "+1", "+2", "+3", "all"]
        assert len({len(line) for line in lines}) == 1
    content = json.loads(json.dumps(summary.as_json()))
    assert content["labels"] == 20
    assert content["steps"]["+1"]["labels_out"] == dict(summary.steps)[1].labels_out
    assert content["all"]["labels_in"] == summary.total.labels_in


def test_observers_see_every_move(one_label: AnnotationSet, shift_flow: Any) -> None:
    moves: list[TransferResult] = []
    found, _ = propagate(one_label, shift_flow(22, 0), steps=(1, 3), observe=moves.append)
    assert [(move.step, move.image_1.frame) for move in moves] == [(1, 3), (3, 5)]
    np.testing.assert_array_equal(moves[0].person_1.points, by_frame(found)[3][0].points)  # type: ignore[union-attr]
    assert moves[1].person_1 is None
    np.testing.assert_allclose(moves[1].points_1, one_label.people[0].points + [66, 0], atol=1e-4)
