from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from slimdp.config import LossSettings
from slimdp.losses.supervised import background_loss, coarse_loss, part_loss, supervised_loss, uv_loss
from slimdp.structures import IGNORE, PoseBatch, Prediction

SIDE = 4


def make_prediction(generator: torch.Generator, crops: int = 2) -> Prediction:
    def maps(channels: int) -> Tensor:
        values = torch.randn(crops, channels, SIDE, SIDE, generator=generator, dtype=torch.float64)
        return values.requires_grad_()

    return Prediction(maps(25), maps(24), maps(24), maps(15), maps(8))


def make_batch(generator: torch.Generator, points: int = 7, crops: int = 2) -> PoseBatch:
    coarse = torch.randint(0, 15, (crops, SIDE, SIDE), generator=generator)
    coarse[torch.rand(coarse.shape, generator=generator) < 0.3] = IGNORE
    coarse[:, 0, 0] = 0
    return PoseBatch(
        image=torch.rand(crops, 3, 4 * SIDE, 4 * SIDE),
        crop_from_image=torch.eye(2, 3).expand(crops, 2, 3),
        annotation_id=torch.arange(crops),
        point_crop=torch.randint(0, crops, (points,), generator=generator),
        points=torch.rand(points, 2, generator=generator, dtype=torch.float64) * 4 * SIDE,
        part=torch.randint(1, 25, (points,), generator=generator),
        uv=torch.rand(points, 2, generator=generator, dtype=torch.float64),
        coarse=coarse,
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


def terms_slowly(prediction: Prediction, batch: PoseBatch) -> dict[str, float]:
    part, uv = [], []
    for i in range(len(batch.part)):
        crop, label = int(batch.point_crop[i]), int(batch.part[i])
        x, y = ((batch.points[i] - 1.5) / 4).tolist()
        part.append(
            cross_entropy_slowly(
                [read_slowly(prediction.part_logits, crop, c, x, y) for c in range(25)], label
            )
        )
        for maps, wanted in zip((prediction.u, prediction.v), batch.uv[i].tolist()):
            error = abs(read_slowly(maps, crop, label - 1, x, y) - wanted)
            uv.append(error**2 / 2 if error < 1 else error - 0.5)
    coarse, background = [], []
    for crop in range(len(batch.coarse)):
        for row in range(SIDE):
            for column in range(SIDE):
                label = int(batch.coarse[crop, row, column])
                if label != IGNORE:
                    logits = prediction.coarse_logits[crop, :, row, column].tolist()
                    coarse.append(cross_entropy_slowly(logits, label))
                if label == 0:
                    logits = prediction.part_logits[crop, :, row, column].tolist()
                    background.append(cross_entropy_slowly(logits, 0))
    return {
        "part": sum(part) / len(part),
        "uv": sum(uv) / len(part),
        "coarse": sum(coarse) / len(coarse),
        "background": sum(background) / len(background),
    }


@pytest.mark.parametrize("seed", range(3))
def test_every_term_agrees_with_a_slow_reference(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    predictions = [make_prediction(generator) for _ in range(2)]
    batch = make_batch(generator)
    weights = LossSettings(part=1.0, coarse=2.0, background=3.0, uv=5.0)
    total, terms = supervised_loss(predictions, batch, weights)

    wanted_total = 0.0
    for stack, prediction in enumerate(predictions):
        for name, value in terms_slowly(prediction, batch).items():
            assert terms[f"stack{stack}/{name}"].item() == pytest.approx(value, rel=1e-9)
            wanted_total += getattr(weights, name) * value
    assert len(terms) == 8
    assert total.item() == pytest.approx(wanted_total, rel=1e-9)


def test_even_scores_cost_the_logarithm_of_the_number_of_classes() -> None:
    point, crop = torch.tensor([[1.0, 2.0]]), torch.tensor([0])
    part = part_loss(torch.zeros(1, 25, SIDE, SIDE), point, crop, torch.tensor([7]))
    assert part.item() == pytest.approx(math.log(25))
    coarse = coarse_loss(torch.zeros(1, 15, SIDE, SIDE), torch.full((1, SIDE, SIDE), 3))
    assert coarse.item() == pytest.approx(math.log(15))


def test_uv_reads_the_labelled_part_alone() -> None:
    u, v = torch.full((1, 24, SIDE, SIDE), 9.0), torch.full((1, 24, SIDE, SIDE), 9.0)
    u[0, 4], v[0, 4] = 0.25, 0.75
    point, crop, part = torch.tensor([[0.5, 1.5]]), torch.tensor([0]), torch.tensor([5])
    assert uv_loss(u, v, point, crop, part, torch.tensor([[0.25, 0.75]])).item() == 0
    off = uv_loss(u, v, point, crop, part, torch.tensor([[0.65, 0.75]]))
    assert off.item() == pytest.approx(0.4**2 / 2)


def test_background_looks_at_background_pixels_alone() -> None:
    coarse = torch.full((1, SIDE, SIDE), 3)
    coarse[0, 1, 2], coarse[0, 3, 3] = 0, IGNORE
    logits = torch.zeros(1, 25, SIDE, SIDE, requires_grad=True)
    background_loss(logits, coarse).backward()
    assert logits.grad is not None
    touched = logits.grad.abs().sum(dim=1).nonzero().tolist()
    assert touched == [[0, 1, 2]]
    assert logits.grad[0, 0, 1, 2] < 0


def test_terms_pass_gradcheck() -> None:
    generator = torch.Generator().manual_seed(0)
    p, b = make_prediction(generator, crops=1), make_batch(generator, points=3, crops=1)
    # Away from the corners of the bilinear pieces, where there is no derivative.
    points = torch.tensor([[0.3, 1.2], [2.6, 0.4], [1.7, 2.2]], dtype=torch.float64)
    check = torch.autograd.gradcheck
    assert check(lambda logits: part_loss(logits, points, b.point_crop, b.part), (p.part_logits,))
    assert check(lambda u, v: uv_loss(u, v, points, b.point_crop, b.part, b.uv), (p.u, p.v))
    assert check(lambda logits: coarse_loss(logits, b.coarse), (p.coarse_logits,))
    assert check(lambda logits: background_loss(logits, b.coarse), (p.part_logits,))


def test_without_any_label_all_is_zero_and_so_is_the_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    prediction = make_prediction(generator)
    batch = dataclasses.replace(make_batch(generator, points=0), coarse=torch.full((2, SIDE, SIDE), IGNORE))
    total, terms = supervised_loss([prediction], batch, LossSettings())
    assert [value.item() for value in terms.values()] == [0.0] * 4
    total.backward()
    for maps in (prediction.part_logits, prediction.u, prediction.v, prediction.coarse_logits):
        assert maps.grad is not None
        assert torch.equal(maps.grad, torch.zeros_like(maps))


def test_a_crop_without_points_does_not_dilute_the_others() -> None:
    generator = torch.Generator().manual_seed(0)
    prediction = make_prediction(generator)
    batch = make_batch(generator)
    batch = dataclasses.replace(batch, point_crop=torch.zeros_like(batch.point_crop))
    _, both = supervised_loss([prediction], batch, LossSettings())
    first = Prediction(*(getattr(prediction, f.name)[:1] for f in dataclasses.fields(Prediction)))
    _, alone = supervised_loss([first], dataclasses.replace(batch, coarse=batch.coarse[:1]), LossSettings())
    assert both["stack0/part"].item() == pytest.approx(alone["stack0/part"].item())
    assert both["stack0/uv"].item() == pytest.approx(alone["stack0/uv"].item())


def test_coarse_labels_of_another_size_are_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    batch = dataclasses.replace(make_batch(generator), coarse=torch.zeros(2, 8, 8, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"\(8, 8\) px for maps of \(4, 4\)"):
        supervised_loss([make_prediction(generator)], batch, LossSettings())


def test_no_prediction_is_refused() -> None:
    with pytest.raises(ValueError, match="no predictions"):
        supervised_loss([], make_batch(torch.Generator()), LossSettings())
