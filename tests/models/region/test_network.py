"""The region network: shapes, gradients, pictures with nobody and with many."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from slimdp.config import ConfigError, TrainConfig
from slimdp.losses import count_labels, loss_terms, total_loss
from slimdp.models import RegionNetwork, RegionSettings
from slimdp.models.backbones import BACKBONES
from slimdp.structures import IGNORE, PoseBatch
from slimdp.surface import PEOPLE
from tests.narrow_backbone import Narrow

SIZE, RASTER = 64, 32
SMALL = RegionSettings(
    backbone="resnet18", channels=8, layers=1, head_channels=8, box_features=8, rpn_samples=32,
    region_samples=8, positive_share=0.5, proposals=40, detections=5, anchors_px=(8, 16, 24, 32, 48),
)  # fmt: skip
CASCADE = SMALL.replace(masks=True, keypoints=("nose", "left_knee"), stages=2)
BOX = torch.tensor([[4.0, 6, 20, 40], [30, 2, 34, 62], [10, 10, 30, 30]])


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest backbone, without batch norms: what a picture says does not depend on the others."""
    monkeypatch.setitem(BACKBONES, "narrow", Narrow)


def network(settings: RegionSettings = SMALL) -> RegionNetwork:
    torch.manual_seed(0)
    return settings.replace(backbone="narrow").build(PEOPLE)


def pictures(index: Tensor, box: Tensor, count: int = 2) -> PoseBatch:
    """Pictures with people, each with twelve points, half of the picture's outline unknown."""
    generator = torch.Generator().manual_seed(1)
    people = len(box)
    person = torch.arange(people).repeat_interleave(12)
    coarse = torch.randint(0, 15, (people, RASTER, RASTER), generator=generator)
    coarse[:, :, RASTER // 2 :] = IGNORE
    places = torch.rand(len(person), 2, generator=generator) * (box[person, 2:] - 1)
    keypoints = torch.cat([box[:, None, :2] + box[:, None, 2:] / 2, torch.ones(people, 1, 1)], dim=2)
    plain = PoseBatch.of_pictures(torch.rand(count, 3, SIZE, SIZE, generator=generator), index, box)
    return replace(
        plain, to_detect=False, coarse=coarse, mask=torch.where(coarse == IGNORE, IGNORE, coarse > 0),
        keypoints=keypoints.expand(-1, 2, -1), instance_index=person, points=box[person, :2] + places,
        part=torch.randint(1, 25, (len(person),), generator=generator),
        uv=torch.rand(len(person), 2, generator=generator), confidence=torch.ones(len(person)),
    )  # fmt: skip


def two_pictures() -> PoseBatch:
    return pictures(torch.tensor([0, 0, 1]), BOX)


def nobody() -> PoseBatch:
    return pictures(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4))


@pytest.mark.parametrize("settings", [SMALL, CASCADE], ids=["plain", "cascade"])
def test_training_gives_maps_of_regions_and_losses_by_name(settings: RegionSettings) -> None:
    output = network(settings)(two_pictures())
    assert output.regions is not None
    count = len(output.regions.box)
    assert 1 <= count <= 2 * 4  # half of eight samples in each picture, at most
    assert len(output.stages) == settings.stages
    for maps in output.stages:
        assert maps.fine_segm.shape == (count, 25, 56, 56)
        assert maps.u.shape == maps.v.shape == (count, 24, 56, 56)
        assert maps.coarse_segm.shape == (count, 15, 56, 56)
    branches = {"mask0", "mask1", "keypoint0", "keypoint1"} if settings is CASCADE else set()
    assert output.losses.keys() == {"proposal", "proposal_box", "person", "person_box"} | branches
    assert output.regions.coarse.shape == (count, 56, 56)
    assert set(output.regions.annotation_id.tolist()) <= {0, 1, 2}


@pytest.mark.parametrize("settings", [SMALL, CASCADE], ids=["plain", "cascade"])
@pytest.mark.parametrize("batch", [two_pictures(), nobody()], ids=["people", "nobody"])
def test_every_weight_has_a_gradient(settings: RegionSettings, batch: PoseBatch) -> None:
    """Where nobody is, a gradient of 0: processes tell one another those of the same weights."""
    model = network(settings)
    total, _ = total_loss(model(batch), batch, loss_terms())
    total.backward()
    assert torch.isfinite(total)
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


def test_a_further_stage_sees_what_all_branches_said() -> None:
    """Of its own loss alone, the gradient reaches the first stage's branches (DensePose, figure 7)."""
    model = network(CASCADE)
    batch = two_pictures()
    output = model(batch)
    output.stages[1].fine_segm.square().sum().backward()
    reached = {
        name.split(".")[2]
        for name, weight in model.stages[0].named_parameters(prefix="stages.0")
        if weight.grad is not None and weight.grad.abs().max() > 0
    }
    assert reached == {"dense", "mask", "keypoints"}


def test_a_single_task_cascade_has_no_other_branches() -> None:
    model = network(SMALL.replace(stages=2))
    assert {name.split(".")[2] for name, _ in model.named_parameters() if name.startswith("stages.1")} == {
        "dense", "returned",
    }  # fmt: skip


def test_people_without_points_teach_where_people_are() -> None:
    batch = two_pictures()
    bare = replace(
        batch, coarse=torch.full_like(batch.coarse, IGNORE), instance_index=batch.instance_index[:0],
        points=batch.points[:0], part=batch.part[:0], uv=batch.uv[:0], confidence=torch.zeros(0),
    )  # fmt: skip
    model = network(CASCADE)
    output = model(bare)
    total, report = total_loss(output, bare, loss_terms())
    assert report["stack0/part"] == report["stack1/coarse"] == 0
    assert all(report[f"network/{name}"] > 0 for name in ("proposal", "person", "mask0", "mask1"))
    total.backward()
    dense = [weight.grad for weight in model.stages[1].dense.parameters()]  # type: ignore[union-attr, operator]
    assert all(grad is not None and not grad.any() for grad in dense)


def test_a_picture_alone_teaches_what_it_teaches_in_a_batch() -> None:
    """So parts of a batch, and processes, add up: the samples of each picture are its own."""
    model = network(CASCADE).double()
    batch, terms = two_pictures(), loss_terms()
    batch = replace(batch, images=batch.images.double(), points=batch.points.double(), box=batch.box.double())
    counts = count_labels(terms, batch)

    def loss(some: PoseBatch) -> tuple[Tensor, dict[str, Tensor]]:
        torch.manual_seed(3)
        return total_loss(model(some), some, terms, None, counts)

    whole, report = loss(batch)
    total, apart = torch.zeros((), dtype=torch.float64), dict.fromkeys(report, 0.0)
    for image, people in enumerate((slice(0, 2), slice(2, 3))):
        mine = (batch.instance_index >= people.start) & (batch.instance_index < people.stop)
        assert batch.mask is not None
        assert batch.keypoints is not None
        part = replace(
            batch, images=batch.images[image : image + 1], image_index=batch.image_index[people] - image,
            crop_from_image=batch.crop_from_image[image : image + 1], box=batch.box[people],
            annotation_id=batch.annotation_id[people], coarse=batch.coarse[people],
            mask=batch.mask[people], keypoints=batch.keypoints[people],
            instance_index=batch.instance_index[mine] - people.start, points=batch.points[mine],
            part=batch.part[mine], uv=batch.uv[mine], confidence=torch.ones(int(mine.sum())),
        )  # fmt: skip
        each, said = loss(part)
        total = total + each
        apart = {name: apart[name] + value.item() for name, value in said.items()}
    for name, value in report.items():
        assert apart[name] == pytest.approx(value.item(), rel=1e-6, abs=1e-9), name
    assert total.item() == pytest.approx(whole.item(), rel=1e-6)


def test_given_boxes_are_answered_in_their_order() -> None:
    model = network().eval()
    batch = two_pictures()
    given = PoseBatch.of_pictures(batch.images, batch.image_index, batch.box)
    with torch.no_grad():
        found = model(given).instances
    assert found is not None
    assert found.image_index.tolist() == [0, 0, 1]
    torch.testing.assert_close(found.box, BOX)
    assert torch.equal(found.box, found.window)
    assert found.score.tolist() == [1, 1, 1]
    assert found.maps.u.shape == (3, 24, 56, 56)
    alone = PoseBatch.of_pictures(batch.images[1:], torch.zeros(1, dtype=torch.int64), BOX[2:])
    with torch.no_grad():
        one = model(alone).instances
    assert one is not None
    torch.testing.assert_close(one.maps.u[0], found.maps.u[2], rtol=1e-4, atol=1e-5)


def test_no_box_is_no_answer() -> None:
    model = network(CASCADE).eval()
    with torch.no_grad():
        found = model(nobody()).instances
    assert found is not None
    assert found.box.shape == (0, 4)
    assert found.maps.coarse_segm.shape == (0, 15, 56, 56)


@pytest.mark.parametrize("proposals", [1, 1000])
def test_people_are_found_with_scores_within_the_picture(proposals: int) -> None:
    model = network(SMALL.replace(proposals=proposals, score=0.01)).eval()
    with torch.no_grad():
        found = model(PoseBatch.of_pictures(torch.rand(2, 3, SIZE, SIZE), None, None)).instances
    assert found is not None
    assert 0 < len(found.box) <= 2 * 5
    assert (found.box[:, :2] >= 0).all()
    assert (found.box[:, :2] + found.box[:, 2:] <= SIZE + 1e-3).all()
    assert ((found.score > 0.01) & (found.score <= 1)).all()
    for image in range(2):
        mine = found.score[found.image_index == image]
        assert torch.equal(mine, mine.sort(descending=True).values)


def test_where_nobody_is_sure_enough_nobody_is_found() -> None:
    model = network(SMALL.replace(score=1.0)).eval()
    with torch.no_grad():
        found = model(PoseBatch.of_pictures(torch.rand(2, 3, SIZE, SIZE), None, None)).instances
    assert found is not None
    assert found.box.shape == (0, 4)
    assert found.maps.fine_segm.shape == (0, 25, 56, 56)


def test_a_crowd_and_people_at_the_border() -> None:
    """Forty people, of whom some reach out of the picture, and more than the samples hold."""
    generator = torch.Generator().manual_seed(5)
    box = torch.rand(40, 4, generator=generator) * SIZE
    box[:, 2:] = (box[:, 2:] / 2).clamp(min=1)
    box[0] = torch.tensor([SIZE - 1.0, SIZE - 1.0, 1, 1])
    batch = pictures(torch.zeros(40, dtype=torch.int64), box, count=1)
    output = network(CASCADE)(batch)
    assert output.regions is not None
    assert len(output.regions.box) <= 4
    total, _ = total_loss(output, batch, loss_terms())
    assert torch.isfinite(total)


def test_the_parts_are_those_of_torchvision() -> None:
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads
    from torchvision.models.detection.roi_heads import RoIHeads
    from torchvision.models.detection.rpn import RegionProposalNetwork
    from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign

    model = RegionSettings(layers=8, channels=64, head_channels=32, box_features=64).build(PEOPLE)
    assert type(model.detector.pyramid) is FeaturePyramidNetwork
    assert isinstance(model.detector.rpn, RegionProposalNetwork)
    assert isinstance(model.detector.roi_heads, RoIHeads)
    # Of them no more than what teaches is theirs and ours (`slimdp.models.region.crowds`).
    assert {*vars(type(model.detector.rpn))} & {*vars(RegionProposalNetwork)} <= {
        "assign_targets_to_anchors", "compute_loss", "__annotations__", "__module__", "__doc__",
        "__firstlineno__", "__static_attributes__",
    }  # fmt: skip
    assert type(model.detector.roi_heads).forward is RoIHeads.forward
    assert type(model.detector.roi_heads.box_head) is TwoMLPHead
    assert type(model.detector.roi_heads.box_predictor) is FastRCNNPredictor
    assert type(model.pool) is MultiScaleRoIAlign
    assert model.pool.output_size == (14, 14)
    (first,) = model.stages
    layers = first.dense[0]  # type: ignore[union-attr, index]
    assert type(layers) is KeypointRCNNHeads
    assert len([each for each in layers if isinstance(each, torch.nn.Conv2d)]) == 8


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"layers": 0}, r"model\.layers = 0, but it must be in 1\.\.16"),
        ({"stages": 5}, r"model\.stages = 5, but it must be in 1\.\.4"),
        ({"anchors_px": [32, 16]}, r"model\.anchors_px = \(32, 16\), but it must be five rising numbers"),
        ({"score": 2}, r"model\.score = 2"),
        (
            {"positive_share": 0.01, "region_samples": 8},
            r"model\.positive_share = 0\.01, but it must be such",
        ),
        ({"masks": "yes"}, r"model\.masks = 'yes', but true or false"),
        ({"backbone": "resnet19"}, r"model\.backbone = 'resnet19'"),
        ({"head": 3}, r"unknown key model\.head"),
    ],
)
def test_bad_settings_are_told_by_key(model: dict[str, object], words: str) -> None:
    stage = {"name": "all", "steps": 1, "data": [{"annotations": "a.json", "images": "."}]}
    with pytest.raises(ConfigError, match=words):
        TrainConfig.parse({"stages": [stage], "crop": {"size": 64}, "model": {"name": "region", **model}})


def test_costs_rise_with_the_branches() -> None:
    assert SMALL.cost < CASCADE.cost < RegionSettings().cost
