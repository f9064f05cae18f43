from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from slimdp.config import ConfigError
from slimdp.losses import LOSSES, count_labels, loss_terms, total_loss
from slimdp.losses.coarse import pixel_error_sum
from slimdp.losses.keypoint_map import heat_error_sum
from slimdp.losses.labels import keypoint_heat
from slimdp.losses.part import part_errors
from slimdp.losses.smoothness import outlines, smoothness
from slimdp.losses.uv import uv_errors
from slimdp.structures import IGNORE, DensePoseMaps, LabelSource, ModelOutput, PoseBatch

SIDE = 4
KEYPOINTS = 3
WEIGHTS = loss_terms(
    part=1.0,
    coarse=2.0,
    background=3.0,
    uv=5.0,
    keypoint_part=7.0,
    keypoint_uv=11.0,
    keypoint_map=13.0,
    taught_part=17.0,
    taught_uv=19.0,
)


def make_prediction(generator: torch.Generator, crops: int = 2, keypoints: int = KEYPOINTS) -> DensePoseMaps:
    def maps(channels: int) -> Tensor:
        values = torch.randn(crops, channels, SIDE, SIDE, generator=generator, dtype=torch.float64)
        return values.requires_grad_()

    heat = maps(keypoints) if keypoints else None
    return DensePoseMaps(maps(25), maps(24), maps(24), maps(15), heat)


def make_batch(generator: torch.Generator, points: int = 12, crops: int = 2) -> PoseBatch:
    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    coarse = torch.randint(0, 15, (crops, SIDE, SIDE), generator=generator)
    coarse[torch.rand(coarse.shape, generator=generator) < 0.3] = IGNORE
    coarse[:, 0, 0] = 0
    visibility = torch.randint(0, 3, (crops, KEYPOINTS, 1), generator=generator)
    return dataclasses.replace(
        PoseBatch.of_images(torch.rand(crops, 3, 4 * SIDE, 4 * SIDE)),
        instance_index=torch.randint(0, crops, (points,), generator=generator),
        points=uniform(points, 2) * 4 * SIDE,
        part=torch.randint(1, 25, (points,), generator=generator),
        uv=uniform(points, 2),
        coarse=coarse,
        confidence=(uniform(points) * 1.2 - 0.2).clamp(min=0),
        source=torch.tensor([0, 2, 1, 3] * points)[:points],
        keypoints=torch.cat([uniform(crops, KEYPOINTS, 2) * 20 - 2, visibility], dim=2),
    )


def read_slowly(maps: Tensor, crop: int, channel: int, x: float, y: float) -> float:
    """Bilinear reading of one channel at map px, from the four pixels around; the border holds outside."""
    side = maps.shape[-1]
    x, y = min(max(x, 0.0), side - 1.0), min(max(y, 0.0), side - 1.0)
    x0, y0 = int(x), int(y)
    x1, y1 = min(x0 + 1, side - 1), min(y0 + 1, side - 1)
    wx, wy = x - x0, y - y0
    m = maps[crop, channel]
    top = m[y0, x0].item() * (1 - wx) + m[y0, x1].item() * wx
    bottom = m[y1, x0].item() * (1 - wx) + m[y1, x1].item() * wx
    return top * (1 - wy) + bottom * wy


def cross_entropy_slowly(logits: list[float], label: int) -> float:
    return math.log(sum(math.exp(value) for value in logits)) - logits[label]


def point_terms_slowly(
    prediction: DensePoseMaps, batch: PoseBatch, *sources: LabelSource
) -> tuple[float, float, int]:
    """Sums of the errors of part and of uv over points of some sources, and their number."""
    assert batch.confidence is not None
    assert batch.source is not None
    part_sum, uv_sum, count = 0.0, 0.0, 0
    for i in range(len(batch.part)):
        trust = batch.confidence[i].item()
        if int(batch.source[i]) not in sources or trust == 0:
            continue
        crop, label = int(batch.instance_index[i]), int(batch.part[i])
        x, y = ((batch.points[i] - 1.5) / 4).tolist()
        scores = [read_slowly(prediction.fine_segm, crop, c, x, y) for c in range(25)]
        part_sum += trust * cross_entropy_slowly(scores, label)
        for maps, wanted in zip((prediction.u, prediction.v), batch.uv[i].tolist()):
            error = abs(read_slowly(maps, crop, label - 1, x, y) - wanted)
            uv_sum += trust * (error**2 / 2 if error < 1 else error - 0.5)
        count += 1
    return part_sum, uv_sum, count


def heat_slowly(prediction: DensePoseMaps, batch: PoseBatch) -> tuple[float, int]:
    assert batch.keypoints is not None
    assert prediction.keypoint_maps is not None
    total, count = 0.0, 0
    for crop in range(len(batch.keypoints)):
        for k in range(KEYPOINTS):
            x, y, visibility = batch.keypoints[crop, k].tolist()
            if visibility == 0:
                continue
            count += 1
            for row in range(SIDE):
                for column in range(SIDE):
                    squared = ((4 * column + 1.5 - x) ** 2 + (4 * row + 1.5 - y) ** 2) / 16
                    wanted = math.exp(-squared / 2)
                    total += (prediction.keypoint_maps[crop, k, row, column].item() - wanted) ** 2
    return total, count


def terms_slowly(prediction: DensePoseMaps, batch: PoseBatch) -> dict[str, float]:
    coarse, background = [], []
    for crop in range(len(batch.coarse)):
        for row in range(SIDE):
            for column in range(SIDE):
                label = int(batch.coarse[crop, row, column])
                if label != IGNORE:
                    logits = prediction.coarse_segm[crop, :, row, column].tolist()
                    coarse.append(cross_entropy_slowly(logits, label))
                if label == 0:
                    logits = prediction.fine_segm[crop, :, row, column].tolist()
                    background.append(cross_entropy_slowly(logits, 0))
    clicked = LabelSource.ANNOTATOR, LabelSource.PROPAGATED
    part, uv, count = point_terms_slowly(prediction, batch, *clicked)
    keypoint_part, keypoint_uv, keypoint_count = point_terms_slowly(prediction, batch, LabelSource.KEYPOINT)
    taught_part, taught_uv, taught_count = point_terms_slowly(prediction, batch, LabelSource.TAUGHT)
    heat, heat_count = heat_slowly(prediction, batch)
    assert min(count, keypoint_count, taught_count, heat_count) > 0
    return {
        "part": part / count,
        "uv": uv / count,
        "coarse": sum(coarse) / len(coarse),
        "background": sum(background) / len(background),
        "keypoint_part": keypoint_part / keypoint_count,
        "keypoint_uv": keypoint_uv / keypoint_count,
        "keypoint_map": heat / heat_count,
        "taught_part": taught_part / taught_count,
        "taught_uv": taught_uv / taught_count,
    }


@pytest.mark.parametrize("seed", range(3))
def test_every_term_agrees_with_a_slow_reference(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    predictions = [make_prediction(generator) for _ in range(2)]
    batch = make_batch(generator)
    total, terms = total_loss(ModelOutput(tuple(predictions)), batch, WEIGHTS)

    wanted_total = 0.0
    for stack, prediction in enumerate(predictions):
        for name, value in terms_slowly(prediction, batch).items():
            assert terms[f"stack{stack}/{name}"].item() == pytest.approx(value, rel=1e-9)
            wanted_total += WEIGHTS[name].weight * value
    assert len(terms) == 18
    assert total.item() == pytest.approx(wanted_total, rel=1e-9)
    assert not any(term.requires_grad for term in terms.values())


def test_numbers_stand_for_weights_beside_the_usual_terms() -> None:
    assert list(WEIGHTS) == [name for name in LOSSES if name != "smoothness"]
    assert WEIGHTS["uv"] == LOSSES["uv"](weight=5.0)
    assert loss_terms()["uv"].weight == 10
    terms = loss_terms(equivariance={"weight": 0.1, "at": "uv"})
    assert terms["equivariance"].plain() == {"weight": 0.1, "at": "uv", "stop": "none"}
    with pytest.raises(ConfigError, match=r"^loss.uv.weight = -1"):
        loss_terms(uv=-1)
    with pytest.raises(ConfigError, match=r"^loss.uvv = 'uvv', but it must be one of part"):
        loss_terms(uvv=1)
    with pytest.raises(ConfigError, match=r"^loss.equivariance_at is now loss.equivariance.at"):
        loss_terms(equivariance_at="uv")


def test_what_the_network_says_of_itself_is_added_by_its_share_of_the_images() -> None:
    generator = torch.Generator().manual_seed(0)
    batch, maps = make_batch(generator), make_prediction(generator)
    alone = total_loss(ModelOutput((maps,)), batch, WEIGHTS)[0].item()
    output = ModelOutput((maps,), losses={"boxes": torch.tensor(3.0)})
    total, terms = total_loss(output, batch, WEIGHTS)
    assert total.item() == pytest.approx(alone + 3)
    assert terms["network/boxes"].item() == 3
    counts = count_labels(WEIGHTS, batch)
    part = total_loss(output, batch, WEIGHTS, counts, {name: 4 * count for name, count in counts.items()})
    assert part[1]["network/boxes"].item() == 0.75
    assert part[0].item() == pytest.approx((alone + 3) / 4)


def test_even_scores_cost_the_logarithm_of_the_number_of_classes() -> None:
    point, crop = torch.tensor([[1.0, 2.0]]), torch.tensor([0])
    part = part_errors(torch.zeros(1, 25, SIDE, SIDE), point, crop, torch.tensor([7]))
    assert part.tolist() == pytest.approx([math.log(25)])
    coarse = pixel_error_sum(torch.zeros(1, 15, SIDE, SIDE), torch.full((1, SIDE, SIDE), 3))
    assert coarse.item() == pytest.approx(SIDE**2 * math.log(15))


def test_uv_reads_the_labelled_part_alone() -> None:
    u, v = torch.full((1, 24, SIDE, SIDE), 9.0), torch.full((1, 24, SIDE, SIDE), 9.0)
    u[0, 4], v[0, 4] = 0.25, 0.75
    point, crop, part = torch.tensor([[0.5, 1.5]]), torch.tensor([0]), torch.tensor([5])
    assert uv_errors(u, v, point, crop, part, torch.tensor([[0.25, 0.75]])).tolist() == [0]
    off = uv_errors(u, v, point, crop, part, torch.tensor([[0.65, 0.75]]))
    assert off.tolist() == pytest.approx([0.4**2 / 2])


def test_background_looks_at_background_pixels_alone() -> None:
    prediction = make_prediction(torch.Generator().manual_seed(0), crops=1, keypoints=0)
    coarse = torch.full((1, SIDE, SIDE), 3)
    coarse[0, 1, 2], coarse[0, 3, 3] = 0, IGNORE
    batch = dataclasses.replace(make_batch(torch.Generator(), points=0, crops=1), coarse=coarse)
    total, _ = total_loss(ModelOutput((prediction,)), batch, loss_terms(coarse=0))
    total.backward()
    assert prediction.fine_segm.grad is not None
    touched = prediction.fine_segm.grad.abs().sum(dim=1).nonzero().tolist()
    assert touched == [[0, 1, 2]]
    assert prediction.fine_segm.grad[0, 0, 1, 2] < 0


def test_a_gaussian_by_hand() -> None:
    heat = keypoint_heat(torch.tensor([[[5.5, 9.5], [900.0, 0.0]]], dtype=torch.float64), SIDE, 4)
    # Crop px 5.5, 9.5 are map px 1, 2.
    assert heat.shape == (1, 2, SIDE, SIDE)
    assert heat[0, 0, 2, 1].item() == 1
    assert heat[0, 0, 2, 2].item() == pytest.approx(math.exp(-0.5))
    assert heat[0, 0, 0, 2].item() == pytest.approx(math.exp(-2.5))
    assert heat[0, 1].abs().max() < 1e-12
    empty = heat_error_sum(
        torch.zeros(1, 1, 32, 32), keypoint_heat(torch.full((1, 1, 2), 63.5), 32, 4), heat[:, :1, 2, 1]
    )
    assert empty.item() == pytest.approx(math.pi, rel=1e-3)


def test_every_term_passes_gradcheck() -> None:
    generator = torch.Generator().manual_seed(0)
    p, batch = make_prediction(generator, crops=1), make_batch(generator, points=4, crops=1)
    # Away from the corners of the bilinear pieces, where there is no derivative.
    points = 4 * torch.tensor([[0.3, 1.2], [2.6, 0.4], [1.7, 2.2], [0.6, 0.8]], dtype=torch.float64) + 1.5
    keypoints = torch.tensor([[[3.0, 7.0, 2.0], [9.0, 2.0, 1.0], [0.0, 0.0, 0.0]]], dtype=torch.float64)
    trust = torch.tensor([0.2, 0.5, 1.0, 0.7], dtype=torch.float64)
    batch = dataclasses.replace(batch, points=points, keypoints=keypoints, confidence=trust)
    maps = (p.fine_segm, p.u, p.v, p.coarse_segm, p.keypoint_maps)

    for name in LOSSES:
        if name == "equivariance":  # of pairs: test_total.py
            continue
        none = dict.fromkeys(LOSSES, 0.0)
        weights = loss_terms(**{**none, name: 1.0})

        def loss(part: Tensor, u: Tensor, v: Tensor, coarse: Tensor, heat: Tensor) -> Tensor:
            prediction = DensePoseMaps(part, u, v, coarse, heat)
            return total_loss(ModelOutput((prediction,)), batch, weights)[0]  # noqa: B023

        assert loss(*maps).item() != 0, name
        assert torch.autograd.gradcheck(loss, maps, fast_mode=True), name


def test_without_any_label_all_is_zero_and_so_is_the_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    prediction = make_prediction(generator)
    batch = make_batch(generator, points=0)
    batch = dataclasses.replace(
        batch, coarse=torch.full((2, SIDE, SIDE), IGNORE), keypoints=torch.zeros(2, KEYPOINTS, 3)
    )
    counts = count_labels(WEIGHTS, batch)
    assert {counts[name] for name in WEIGHTS} == {0}
    total, terms = total_loss(ModelOutput((prediction,)), batch, WEIGHTS)
    assert [value.item() for value in terms.values()] == [0.0] * 9
    total.backward()
    for f in dataclasses.fields(prediction):
        maps = getattr(prediction, f.name)
        assert maps.grad is not None
        assert torch.equal(maps.grad, torch.zeros_like(maps))


def test_a_crop_without_points_does_not_dilute_the_others() -> None:
    generator = torch.Generator().manual_seed(0)
    prediction = make_prediction(generator)
    batch = make_batch(generator)
    batch = dataclasses.replace(batch, instance_index=torch.zeros_like(batch.instance_index))
    _, both = total_loss(ModelOutput((prediction,)), batch, WEIGHTS)
    first = DensePoseMaps(*(getattr(prediction, f.name)[:1] for f in dataclasses.fields(DensePoseMaps)))
    one = dataclasses.replace(batch, coarse=batch.coarse[:1], keypoints=batch.keypoints[:1])
    _, alone = total_loss(ModelOutput((first,)), one, WEIGHTS)
    for name in ("part", "uv", "keypoint_part", "keypoint_uv"):
        assert both[f"stack0/{name}"].item() == pytest.approx(alone[f"stack0/{name}"].item())


def test_a_label_without_confidence_is_as_good_as_absent_and_half_pulls_half() -> None:
    generator = torch.Generator().manual_seed(0)
    prediction, batch = make_prediction(generator), make_batch(generator, points=6)
    kept = torch.tensor([True, False, True, True, False, True])

    def terms(trust: Tensor, rows: Tensor) -> dict[str, Tensor]:
        fields = ("instance_index", "points", "part", "uv", "source")
        chosen = {name: getattr(batch, name)[rows] for name in fields}
        some = dataclasses.replace(batch, confidence=trust[rows], **chosen)
        return total_loss(ModelOutput((prediction,)), some, WEIGHTS)[1]

    everyone = torch.ones(6, dtype=torch.bool)
    absent, distrusted = terms(torch.ones(6), kept), terms(kept.double(), everyone)
    half = terms(torch.full((6,), 0.5), kept)
    for name in ("stack0/part", "stack0/uv", "stack0/keypoint_part", "stack0/keypoint_uv"):
        assert distrusted[name].item() == pytest.approx(absent[name].item())
        assert half[name].item() == pytest.approx(absent[name].item() / 2)
    plain = dataclasses.replace(batch, confidence=None, source=None)
    ones = dataclasses.replace(batch, confidence=torch.ones(6), source=torch.zeros(6, dtype=torch.int64))
    a, b = (total_loss(ModelOutput((prediction,)), one, WEIGHTS)[0].item() for one in (plain, ones))
    assert a == b


def test_parts_of_a_batch_give_the_loss_of_the_whole() -> None:
    generator = torch.Generator().manual_seed(3)
    prediction, batch = make_prediction(generator), make_batch(generator)
    whole, _ = total_loss(ModelOutput((prediction,)), batch, WEIGHTS)
    wanted = torch.autograd.grad(whole, prediction.u)[0]
    total, counts = torch.zeros(()), count_labels(WEIGHTS, batch)
    for crop in range(2):
        rows = batch.instance_index == crop
        names = ("points", "part", "uv", "confidence", "source")
        part = dataclasses.replace(
            batch, coarse=batch.coarse[crop : crop + 1], keypoints=batch.keypoints[crop : crop + 1],
            instance_index=batch.instance_index[rows] - crop,
            **{name: getattr(batch, name)[rows] for name in names},
        )  # fmt: skip
        maps = [getattr(prediction, f.name) for f in dataclasses.fields(DensePoseMaps)]
        output = ModelOutput((DensePoseMaps(*(m[crop : crop + 1] for m in maps)),))
        total = total + total_loss(output, part, WEIGHTS, count_labels(WEIGHTS, part), counts)[0]
    assert total.item() == pytest.approx(whole.item())
    torch.testing.assert_close(torch.autograd.grad(total, prediction.u)[0], wanted)


def test_half_precision_is_compared_in_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    exact, batch = make_prediction(generator), make_batch(generator)
    single = dataclasses.replace(
        batch,
        **{n: getattr(batch, n).float() for n in ("points", "uv", "confidence", "keypoints")},
    )
    maps = [getattr(exact, f.name) for f in dataclasses.fields(DensePoseMaps)]
    half = DensePoseMaps(*(m.detach().bfloat16().requires_grad_() for m in maps))
    total, _ = total_loss(ModelOutput((half,)), single, WEIGHTS)
    assert total.dtype == torch.float32
    rounded = DensePoseMaps(*(m.detach().float() for m in dataclasses.astuple(half)))
    assert total.item() == total_loss(ModelOutput((rounded,)), single, WEIGHTS)[0].item()
    total.backward()
    assert half.u.grad is not None
    assert half.u.grad.dtype == torch.bfloat16


def test_coarse_labels_of_another_size_are_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    batch = dataclasses.replace(make_batch(generator), coarse=torch.zeros(2, 8, 8, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"\(8, 8\) px for maps of \(4, 4\)"):
        total_loss(ModelOutput((make_prediction(generator),)), batch, loss_terms())


@pytest.mark.parametrize("keypoints", [None, torch.zeros(2, 0, 3), torch.zeros(2, 5, 3)])
def test_heat_maps_without_their_keypoints_are_refused(keypoints: Tensor | None) -> None:
    generator = torch.Generator().manual_seed(0)
    batch = dataclasses.replace(make_batch(generator), keypoints=keypoints)
    with pytest.raises(ValueError, match=r"3 keypoint heat maps, but a batch with [05]"):
        total_loss(ModelOutput((make_prediction(generator),)), batch, loss_terms())


def test_no_prediction_is_refused() -> None:
    with pytest.raises(ValueError, match="no predictions"):
        total_loss(ModelOutput(()), make_batch(torch.Generator()), loss_terms())


def test_points_without_uv_count_for_their_part_alone() -> None:
    """Their NaN reaches neither a term nor a gradient, and the means divide by the points that are known."""
    generator = torch.Generator().manual_seed(3)
    prediction, batch = make_prediction(generator), make_batch(generator, points=12)
    known = torch.rand(12, generator=generator) < 0.5
    alone = dataclasses.replace(batch, uv=torch.where(known[:, None], batch.uv, torch.nan))
    total, terms = total_loss(ModelOutput((prediction,)), alone, WEIGHTS)
    total.backward()
    grads = [getattr(prediction, name).grad for name in ("fine_segm", "u", "v", "coarse_segm")]
    assert all(grad.isfinite().all() for grad in grads)
    assert batch.source is not None
    assert batch.confidence is not None
    whole = total_loss(ModelOutput((prediction,)), batch, WEIGHTS)[1]
    for name in ("part", "keypoint_part", "coarse", "background", "keypoint_map"):
        assert torch.equal(terms[f"stack0/{name}"], whole[f"stack0/{name}"])
    fewer = dataclasses.replace(
        batch,
        **{name: getattr(batch, name)[known] for name in ("points", "instance_index", "part", "uv")},
        source=batch.source[known],
        confidence=batch.confidence[known],
    )
    for name in ("uv", "keypoint_uv"):
        wanted = total_loss(ModelOutput((prediction,)), fewer, WEIGHTS)[1][f"stack0/{name}"]
        assert torch.allclose(terms[f"stack0/{name}"], wanted)
        assert count_labels(loss_terms(), alone)[name] == count_labels(loss_terms(), fewer)[name]
    assert count_labels(loss_terms(), alone)["part"] == count_labels(loss_terms(), batch)["part"]
    # Where nothing is known of (u, v), nothing teaches it.
    prediction.u.grad = None
    none = dataclasses.replace(batch, uv=torch.full_like(batch.uv, torch.nan))
    total_loss(ModelOutput((prediction,)), none, WEIGHTS)[0].backward()
    assert prediction.u.grad is not None
    assert not prediction.u.grad.any()


def test_gradients_are_right_beside_points_without_uv() -> None:
    generator = torch.Generator().manual_seed(5)
    prediction, batch = make_prediction(generator), make_batch(generator, points=6)
    batch.uv[::2] = torch.nan

    def loss(u: Tensor, v: Tensor) -> Tensor:
        return total_loss(ModelOutput((dataclasses.replace(prediction, u=u, v=v),)), batch, WEIGHTS)[0]

    assert torch.autograd.gradcheck(loss, (prediction.u, prediction.v), fast_mode=True)


def test_smoothness_is_a_term_for_those_who_name_it() -> None:
    generator = torch.Generator().manual_seed(0)
    batch, maps = make_batch(generator), make_prediction(generator)
    terms = loss_terms(smoothness=2)
    _, report = total_loss(ModelOutput((maps,)), batch, terms)
    iuv = torch.cat([maps.fine_segm, maps.u, maps.v], dim=1)
    masks = outlines(batch)
    wanted = smoothness(iuv, masks).sum() / masks.flatten(1).any(1).sum()
    assert report["stack0/smoothness"].item() == pytest.approx(wanted.item())
    assert (
        outlines(dataclasses.replace(batch, mask=torch.zeros_like(batch.coarse))).sum() == 0
    )  # the outline comes first
