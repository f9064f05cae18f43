"""The network of Direct Dense Pose: pictures without people, with people who overlap, with a crowd."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from slimdp.config import ConfigError
from slimdp.inference.decoding import person_log_odds
from slimdp.losses import count_labels, loss_terms, total_loss
from slimdp.models import MODELS, DirectDensePose, DirectSettings
from slimdp.models.direct import network as network_module
from slimdp.models.direct.global_branch import person_maps
from slimdp.models.direct.instance_head import Chosen, match_people
from slimdp.models.direct.network import (
    LEAST_MASK_OVERLAP,
    MOST_LOCATIONS,
    mask_overlap,
    shared_labels,
    spread_locations,
    sure_people,
    true_masks,
)
from slimdp.structures import IGNORE, DensePoseMaps, PoseBatch
from slimdp.surface import PEOPLE
from slimdp.training.loop import MicroBatch, add_gradients
from tests.models.direct.people import part_of, pictures, small_network

TERMS = loss_terms(smoothness=1)
TWO_WHO_OVERLAP = pictures([[16, 16, 60, 100], [40, 24, 60, 80], [10, 10, 40, 90]], [0, 0, 1], 2, 128)
NOBODY = pictures([], [], 2, 128)
CROWD = pictures([[12 * (i % 8), 14 * (i // 8), 24, 28] for i in range(40)], [0] * 40, 1, 128)


@pytest.mark.parametrize("batch", [TWO_WHO_OVERLAP, NOBODY, CROWD], ids=["overlap", "nobody", "crowd"])
@pytest.mark.parametrize("changes", [{}, {"sparse": False}, {"instance_norm": False}], ids=str)
def test_it_learns_from_pictures(batch: PoseBatch, changes: dict[str, bool]) -> None:
    """The loss is finite, and every weight has a gradient, as processes that share a batch need it."""
    network = small_network(**changes).train()
    output = network(batch)
    assert output.stages[0].fine_segm.shape == (len(batch.images), 25, 32, 32)
    assert set(output.losses) == {"person", "box", "centre", "mask", "dense_pose_mask"}
    total, report = total_loss(output, batch, TERMS)
    total.backward()
    assert all(value.isfinite() for value in report.values())
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
    people = len(batch.box) > 0
    assert (report["network/mask"] > 0).item() == people
    assert (report["stack0/smoothness"] > 0).item() == people


def loss_in_parts(batch: PoseBatch, ends: list[int]) -> tuple[dict[str, Tensor], list[Tensor]]:
    """The losses of a batch in float64, by name, and the gradients; cut before the pictures `ends`."""
    network = small_network(predicted_masks=0.0).double().train()
    cuts = [0, *ends, len(batch.images)]
    parts = [part_of(batch, *cut) for cut in itertools.pairwise(cuts)]
    micro = [MicroBatch(part, count_labels(TERMS, part, network.loss_counts(part))) for part in parts]
    totals = {name: sum(part.counts[name] for part in micro) for name in micro[0].counts}
    _, report = add_gradients(network, micro, totals, TERMS, 1, bf16=False)
    return report, [weight.grad for weight in network.parameters() if weight.grad is not None]


#: Pictures of two people, of nobody, of somebody without an outline or a labelled part, of one, of nobody.
UNLIKE = pictures(
    [[16, 16, 60, 100], [40, 24, 60, 80], [10, 10, 40, 90], [50, 8, 30, 44]], [0, 0, 2, 3], 5, 128
)
assert UNLIKE.mask is not None
UNLIKE.mask[2], UNLIKE.coarse[2] = IGNORE, IGNORE


@pytest.mark.parametrize("ends", [[1], [2], [1, 2, 3, 4]], ids=str)
def test_a_batch_in_parts_teaches_what_the_whole_teaches(ends: list[int]) -> None:
    """Every location weighs alike, and every person's mask, whoever else is in its part, and if nobody is."""
    whole, gradients = loss_in_parts(UNLIKE, [])
    parts, others = loss_in_parts(UNLIKE, ends)
    for name, value in whole.items():
        assert parts[name].item() == pytest.approx(value.item(), rel=1e-6), name
    for one, other in zip(gradients, others, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-6 * float(one.abs().max()))


def test_a_batch_of_nobody_in_parts_sums_over_background() -> None:
    whole, _ = loss_in_parts(NOBODY, [])
    parts, _ = loss_in_parts(NOBODY, [1])
    assert whole["network/person"] > 0
    for name, value in whole.items():
        assert parts[name].item() == pytest.approx(value.item(), rel=1e-6), name


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_it_counts_before_what_its_losses_are_means_over(
    precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the bytes that a batch has on its way to the network."""
    network = small_network().to(precision).train()
    matched = []

    def kept(found: object, batch: PoseBatch) -> Tensor:
        matched.append(match_people(found, batch))  # type: ignore[arg-type]
        return matched[-1]

    monkeypatch.setattr(network_module, "match_people", kept)
    counts = network.loss_counts(replace(UNLIKE, coarse=UNLIKE.coarse.byte()))
    network(replace(UNLIKE, images=UNLIKE.images.to(precision)))
    assert torch.equal(*matched)
    positive = int((matched[0] >= 0).sum())
    with_mask = positive - int((matched[0] == 2).sum())
    assert counts == {
        "person": positive, "box": positive, "centre": positive,
        "mask": with_mask, "dense_pose_mask": with_mask,
    }  # fmt: skip
    assert positive > with_mask > 0


@pytest.mark.parametrize("batch", [TWO_WHO_OVERLAP, NOBODY, CROWD], ids=["overlap", "nobody", "crowd"])
def test_given_boxes_are_answered_in_their_order(batch: PoseBatch) -> None:
    with torch.no_grad():
        output = small_network().eval()(batch)
    assert output.stages == ()
    found = output.instances
    assert found is not None
    assert torch.equal(found.box, batch.box)
    assert torch.equal(found.image_index, batch.image_index)
    assert found.maps.fine_segm.shape == (len(batch.box), 25, 32, 32)
    assert found.maps.coarse_segm.shape == (len(batch.box), 15, 32, 32)
    assert (found.window[:, :2] >= 0).all()
    assert (found.window[:, :2] + found.window[:, 2:] <= 128).all()


def test_whom_it_finds_lies_within_the_picture_and_has_maps() -> None:
    network = small_network().eval()
    with torch.no_grad():
        network.instances.fcos.classification_head.cls_logits.bias.fill_(3)  # all are sure to be people
        found = network(PoseBatch.of_pictures(torch.rand(2, 3, 64, 96), None, None)).instances
    assert found is not None
    assert len(found.score) > 2
    assert set(found.image_index.tolist()) == {0, 1}
    assert (found.box[:, :2] + found.box[:, 2:] <= torch.tensor([96, 64]) + 1e-3).all()
    assert all(
        maps.isfinite().all() and len(maps) == len(found.box)
        for maps in vars(found.maps).values()
        if maps is not None
    )


def test_nobody_found_is_no_error() -> None:
    with torch.no_grad():
        found = small_network().eval()(PoseBatch.of_pictures(torch.rand(2, 3, 64, 64), None, None)).instances
    assert found is not None
    assert len(found.score) == len(found.maps.u) == 0


def test_background_of_one_person_is_not_that_of_another_in_the_shared_map() -> None:
    batch = TWO_WHO_OVERLAP
    assert batch.mask is not None
    shared = shared_labels(batch).coarse
    second = batch.mask[1] == 1
    assert (batch.coarse[0][second] == 0).all()
    assert (shared[0][second] == IGNORE).all()
    assert torch.equal(shared[0][~second], batch.coarse[0][~second])
    assert torch.equal(shared[2], batch.coarse[2])  # alone in the other picture


def test_a_person_without_outline_may_be_anywhere_in_the_box() -> None:
    batch = TWO_WHO_OVERLAP
    assert batch.mask is not None
    unknown = batch.mask.clone()
    unknown[1] = IGNORE
    masks = true_masks(replace(batch, mask=unknown))
    wanted = torch.zeros(32, 32, dtype=torch.bool)
    wanted[6:26, 10:25] = True  # 40..100 and 24..104 px
    assert torch.equal(masks[1], wanted)
    assert torch.equal(masks[0], batch.mask[0] == 1)


def test_overlap_is_the_intersection_over_the_union() -> None:
    masks = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)[:, None]
    others = torch.tensor([[0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)[:, None]
    torch.testing.assert_close(mask_overlap(masks, others), torch.tensor([1 / 3, 1, 0]))


def test_the_global_branch_looks_at_whom_the_network_is_sure_of() -> None:
    """0.3 is sure where the best is 0.9; where the best is 0.4, all down to 0.2 are."""
    score = torch.tensor([0.9, 0.31, 0.25, 0.4, 0.25, 0.15])
    image = torch.tensor([0, 0, 0, 1, 1, 1])
    assert sure_people(score, image).tolist() == [True, True, False, True, True, False]
    assert sure_people(score[:0], image[:0]).tolist() == []


def test_detections_of_little_score_change_nobody_s_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = small_network().eval(), PoseBatch.of_pictures(torch.rand(1, 3, 64, 64), None, None)
    people = Chosen(
        image=torch.zeros(2, dtype=torch.int64), location=torch.tensor([40, 20]),
        score=torch.tensor([0.9, 0.2]), box=torch.tensor([[8.0, 8, 30, 40], [2, 2, 60, 60]]),
    )  # fmt: skip
    alone = Chosen(*(each[:1] for each in vars(people).values()))

    def found(chosen: Chosen) -> DensePoseMaps:
        monkeypatch.setattr(network_module, "detect", lambda people, size, most: chosen)
        with torch.no_grad():
            instances = network(batch).instances
        assert instances is not None
        assert len(instances.score) == len(chosen.score)
        return instances.maps

    torch.testing.assert_close(found(people).fine_segm[:1], found(alone).fine_segm)


def test_it_learns_within_predicted_masks_that_are_good_and_true_ones_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first one's predicted mask overlaps the true one well, the second one's little, the third's not."""
    batch = TWO_WHO_OVERLAP
    true = true_masks(batch)
    coarse = torch.nn.functional.avg_pool2d(true[:, None].float(), 2)[:, 0]
    logits = torch.where(coarse > 0, 4.0, -4.0)  # a little larger: by whole pixels of stride 8
    logits[1, :12] = -4
    logits[2] = -4
    assert len(true) == 3
    seen: list[torch.Tensor] = []

    def looked_at(share: float) -> torch.Tensor:
        network = small_network(predicted_masks=share).train()
        monkeypatch.setattr(
            network, "person_masks", lambda shared, image, location: torch.stack([logits] * 2, 1)[
                torch.arange(len(image)) % len(logits)
            ].requires_grad_(),
        )  # fmt: skip
        network.iuv.register_forward_pre_hook(lambda module, given: seen.append(given[1]))
        network(batch)
        return seen[-1]

    predicted = torch.nn.functional.interpolate(
        logits[:, None], scale_factor=2, mode="bilinear", align_corners=False
    )[:, 0].gt(0)  # fmt: skip
    good = mask_overlap(predicted, true) >= LEAST_MASK_OVERLAP
    assert good.tolist() == [True, False, False]
    assert not torch.equal(predicted[0], true[0])
    looked = looked_at(1.0)
    assert torch.equal(looked[0], predicted[0])
    assert torch.equal(looked[1:], true[1:])
    assert torch.equal(looked_at(0.0), true)


def test_the_global_maps_do_not_change_where_a_stranger_s_background_changes() -> None:
    """Background suppression: pixels far from all people, behind the features, have no say."""
    network, batch = small_network().eval(), TWO_WHO_OVERLAP
    features = torch.randn(2, 32, 32, 32)
    other = features.clone()
    masks = true_masks(batch)
    foreground = torch.zeros(2, 32, 32).index_add(0, batch.image_index, masks.float())
    widened = torch.nn.functional.max_pool2d(foreground[:, None], 3, 1, 1)[:, 0] > 0
    other.movedim(1, -1)[~widened] += 5
    with torch.no_grad():
        first, second = (network.iuv(each, masks, batch.image_index) for each in (features, other))
    assert torch.equal(first.fine_segm, second.fine_segm)
    assert (first.fine_segm[:, 0][~widened] == 10).all()


def test_coarse_scores_are_those_of_their_parts_together() -> None:
    maps = small_network().iuv(
        torch.randn(2, 32, 32, 32), true_masks(TWO_WHO_OVERLAP), TWO_WHO_OVERLAP.image_index
    )
    fine, coarse = maps.fine_segm.softmax(1), maps.coarse_segm.softmax(1)
    for number in range(15):
        wanted = sum(fine[:, part] for part in range(25) if PEOPLE.coarse_of_part[part] == number)
        torch.testing.assert_close(coarse[:, number], wanted)


def test_a_person_s_maps_are_the_global_ones_where_the_mask_is() -> None:
    torch.manual_seed(0)
    maps = DensePoseMaps(*(torch.randn(1, c, 8, 8) for c in (25, 24, 24, 15)))
    dense_pose = torch.randn(2, 4, 4)
    window = torch.tensor([[0.0, 0, 32, 32], [8, 8, 16, 16]])
    found = person_maps(maps, dense_pose, torch.tensor([0, 0]), window, 8, (4, 8))
    torch.testing.assert_close(found.u[:1], maps.u)
    torch.testing.assert_close(found.fine_segm[:1, 1:], maps.fine_segm[:, 1:])
    # The second window is half as wide: every other of its pixels lies a quarter of a map px off a centre.
    wanted = torch.nn.functional.interpolate(maps.v, scale_factor=2, mode="bilinear")[:, :, 4:12, 4:12]
    torch.testing.assert_close(found.v[1:], wanted)
    person = torch.nn.functional.interpolate(dense_pose[:1, None], scale_factor=2, mode="bilinear")[0, 0]
    background = (maps.fine_segm[0, 1:].logsumexp(0) - maps.fine_segm[0, 0]).clamp(max=0)
    torch.testing.assert_close(person_log_odds(found)[0], person + background)


def test_settings_build_what_they_say() -> None:
    settings = MODELS["direct"](channels=32, tower=1, sparse=False, instance_norm=False)  # type: ignore[call-arg]
    network = settings.build(PEOPLE)
    assert isinstance(network, DirectDensePose)
    assert not network.iuv.sparse
    assert settings.reads_masks
    assert settings.spec.detects
    with pytest.raises(ConfigError, match="keypoints"):
        DirectSettings.parse({"name": "direct", "keypoints": ["nose"]})
    with pytest.raises(ConfigError, match="channels = 40"):
        DirectSettings.parse({"name": "direct", "channels": 40})


def test_images_of_other_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="a multiple of 32"):
        small_network()(PoseBatch.of_images(torch.rand(1, 3, 48, 64)))


def test_of_many_locations_evenly_spread_ones_teach_the_masks() -> None:
    many = torch.arange(3 * MOST_LOCATIONS)
    image, location = spread_locations(many // 100, many)
    assert location.tolist() == list(range(0, 3 * MOST_LOCATIONS, 3))
    assert torch.equal(image, location // 100)
    few = torch.arange(MOST_LOCATIONS)
    assert torch.equal(spread_locations(few, few)[1], few)


def test_background_in_a_crowd_is_not_known_in_the_shared_map() -> None:
    batch = TWO_WHO_OVERLAP
    crowd = torch.zeros(len(batch.images), 32, 32, dtype=torch.bool)
    crowd[0, :, :12] = True
    plain, found = shared_labels(batch).coarse, shared_labels(replace(batch, crowd=crowd)).coarse
    for person, image in enumerate(batch.image_index.tolist()):
        hidden = crowd[image] & (plain[person] == 0)
        assert torch.equal(found[person], plain[person].masked_fill(hidden, IGNORE))
    assert not torch.equal(plain[0], found[0])


def test_it_learns_beside_a_crowd() -> None:
    batch = TWO_WHO_OVERLAP
    everywhere = torch.ones(len(batch.images), 32, 32, dtype=torch.bool)
    torch.manual_seed(1)
    total, _ = total_loss(small_network()(replace(batch, crowd=everywhere)), batch, loss_terms())
    total.backward()
    assert torch.isfinite(total)
