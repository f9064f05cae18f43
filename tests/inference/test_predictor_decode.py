from __future__ import annotations

import numpy as np
import torch

from slimdp.inference import decode
from slimdp.inference.decoding import decode_person
from slimdp.inference.error_bars import ErrorBars
from slimdp.inference.predictor import instance_of, mean_maps, mirror_maps
from slimdp.inference.video_records import PersonMaps, TrackedPerson
from slimdp.structures import DensePoseMaps
from slimdp.surface import PEOPLE
from slimdp.surface.symmetry import UvSymmetry


def random_maps(seed: int, crops: int = 2, side: int = 4) -> DensePoseMaps:
    generator = torch.Generator().manual_seed(seed)

    def maps(channels: int) -> torch.Tensor:
        return torch.randn(crops, channels, side, side, generator=generator)

    return DensePoseMaps(maps(25), maps(24), maps(24), maps(15))


def slow_upsample(maps: np.ndarray, y: int, x: int) -> np.ndarray:
    """One crop pixel (C,) of maps (C, h, w): map pixel m lies at crop px 4 m + 1.5, edges hold."""
    height, width = maps.shape[1:]
    my, mx = (np.clip((y - 1.5) / 4, 0, height - 1), np.clip((x - 1.5) / 4, 0, width - 1))
    y0, x0 = min(int(my), height - 2), min(int(mx), width - 2)
    wy, wx = my - y0, mx - x0
    top = maps[:, y0, x0] * (1 - wx) + maps[:, y0, x0 + 1] * wx
    bottom = maps[:, y0 + 1, x0] * (1 - wx) + maps[:, y0 + 1, x0 + 1] * wx
    return top * (1 - wy) + bottom * wy


def slow_log_odds(scores: np.ndarray) -> np.ndarray:
    """Of any class but the first one, (1, h, w), from scores (C, h, w)."""
    chance = np.exp(scores) / np.exp(scores).sum(0)
    return np.log((1 - chance[:1]) / chance[:1])


def test_decode_agrees_with_a_slow_reference() -> None:
    prediction = random_maps(0)
    maps = decode(prediction, 4)
    assert maps.part.shape == (2, 16, 16)
    for crop in range(2):
        logits, u, v, coarse = (
            m[crop].double().numpy()
            for m in (prediction.fine_segm, prediction.u, prediction.v, prediction.coarse_segm)
        )
        for y in range(16):
            for x in range(16):
                scores = slow_upsample(logits, y, x)
                part = 1 + int(scores[1:].argmax())
                assert maps.part[crop, y, x] == part
                wanted = [np.clip(slow_upsample(values, y, x)[part - 1], 0, 1) for values in (u, v)]
                np.testing.assert_allclose(maps.uv[crop, :, y, x], wanted, atol=1e-5)
                odds = slow_upsample(slow_log_odds(logits) + slow_log_odds(coarse), y, x)
                assert maps.foreground[crop, y, x] == (odds > 0)


def person_of(seed: int) -> DensePoseMaps:
    """Maps of one crop, whose left half shows nobody."""
    maps = random_maps(seed, crops=1, side=8)
    maps.coarse_segm[..., 0, :, :4] = 30
    return maps


def test_what_is_drawn_of_a_person_is_as_all_of_the_crop_has_it() -> None:
    person = person_of(3)
    whole, found = decode(person, 4), decode_person(person, 4)
    foreground = whole.foreground[0].numpy()
    np.testing.assert_array_equal(found.foreground, foreground)
    near = found.pixels.chosen
    rows, columns = np.nonzero(foreground)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        assert near[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].all()
    assert 0 < near.sum() < 0.8 * near.size
    np.testing.assert_array_equal(found.part, whole.part[0].numpy()[near])
    np.testing.assert_allclose(found.uv.T, whole.uv[0].numpy()[:, near], atol=1e-5)


def test_an_answer_has_its_error_where_the_person_is() -> None:
    between = np.random.default_rng(0).random((24, 24)) * 50
    bars = ErrorBars("0" * 64, 0.9, between, np.array([0.0, 50]), np.array([5.0, 90]), {})
    maps = person_of(4)
    tracked = PersonMaps(TrackedPerson(2, np.array([1.0, 2, 30, 30]), 0.5), np.eye(2, 3), maps, 4)
    found, whole = instance_of(tracked, 7, bars), decode(maps, 4)
    assert (found.annotation_id, found.image_id, found.score) == (2, 7, 0.5)
    assert found.uv.dtype == found.error_cm.dtype == np.float16
    there = found.foreground
    np.testing.assert_array_equal(found.part[there], whole.part[0].numpy()[there])
    wanted = bars.of(maps, whole.part, 4)[0]
    np.testing.assert_allclose(found.error_cm[there], wanted[there], rtol=2e-3)
    assert found.part[0, 0] == 1
    assert not found.uv[:, 0, 0].any()
    assert instance_of(tracked, 7).error_cm is None


def test_either_background_makes_background() -> None:
    prediction = random_maps(1)
    for name in ("fine_segm", "coarse_segm"):
        maps = random_maps(1)
        getattr(maps, name)[:, 0] = 100
        decoded = decode(maps, 4)
        assert not decoded.foreground.any()
        # The best of the 24 parts does not change with the background.
        assert torch.equal(decoded.part, decode(prediction, 4).part)
    for name in ("fine_segm", "coarse_segm"):
        getattr(prediction, name)[:, 0] = -100
    assert decode(prediction, 4).foreground.all()


def test_a_person_whose_parts_are_unsure_is_a_person() -> None:
    """Background is the likeliest of the classes, and yet less likely than all parts together."""
    prediction = DensePoseMaps(*(torch.zeros(1, channels, 2, 2) for channels in (25, 24, 24, 15)))
    prediction.fine_segm[:, 0] = prediction.coarse_segm[:, 0] = 2.0
    assert decode(prediction, 4).foreground.all()
    prediction.coarse_segm[:, 0] = np.log(24 * 14) - 2.0 + 0.01  # the odds of both, multiplied, are below 1
    assert not decode(prediction, 4).foreground.any()


def test_decode_reads_half_precision() -> None:
    prediction = random_maps(2)
    half = DensePoseMaps(
        *(getattr(prediction, name).half() for name in list(DensePoseMaps.__dataclass_fields__)[:4])
    )
    assert (decode(half, 4).part == decode(prediction, 4).part).float().mean() > 0.95


def test_mirroring_twice_changes_nothing() -> None:
    prediction = random_maps(3)
    clamped = DensePoseMaps(
        prediction.fine_segm, prediction.u.clamp(0, 1), prediction.v.clamp(0, 1),
        prediction.coarse_segm,
    )  # fmt: skip
    twice = mirror_maps(mirror_maps(clamped, UvSymmetry()), UvSymmetry())
    for name in DensePoseMaps.__dataclass_fields__:
        torch.testing.assert_close(getattr(twice, name), getattr(clamped, name))


def test_mirroring_agrees_with_the_labels_mirror() -> None:
    # With the tables of DensePose's form too: random ones, so that no symmetry hides a mistake.
    tables = np.random.default_rng(0).uniform(0, 1, (24, 2, 256, 256)).astype(np.float32)
    for symmetry in (UvSymmetry(), UvSymmetry(tables=tables)):
        prediction = random_maps(4)
        mirrored = mirror_maps(prediction, symmetry)
        for part in range(1, 25):
            for y, x in ((0, 0), (1, 3), (3, 2)):
                u, v = (maps[0, part - 1, y, x].clamp(0, 1).item() for maps in (prediction.u, prediction.v))
                flipped_part, flipped_uv = symmetry.flip(np.array([part]), np.array([[u, v]]))
                assert flipped_part[0] == PEOPLE.flip_part[part]
                channel = flipped_part[0] - 1
                assert mirrored.u[0, channel, y, 3 - x].item() == np.float32(flipped_uv[0, 0])
                assert mirrored.v[0, channel, y, 3 - x].item() == np.float32(flipped_uv[0, 1])
                assert mirrored.fine_segm[0, flipped_part[0], y, 3 - x] == prediction.fine_segm[0, part, y, x]


def test_the_mean_of_a_prediction_with_itself_decodes_alike() -> None:
    prediction = random_maps(5)
    assert torch.equal(decode(mean_maps(prediction, prediction), 4).part, decode(prediction, 4).part)
