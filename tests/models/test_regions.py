"""Labels cut to regions."""

from __future__ import annotations

from dataclasses import replace

import torch

from slimdp.losses import count_labels, loss_terms, total_loss
from slimdp.models.regions import inside_boxes, region_labels, region_px, sample_regions, to_corners
from slimdp.structures import IGNORE, DensePoseMaps, ModelOutput, PoseBatch


def labelled() -> PoseBatch:
    """Two pictures of 32 px, maps of stride 2: person 0 in the first, persons 1 and 2 in the second."""
    generator = torch.Generator().manual_seed(0)
    box = torch.tensor([[4.0, 6, 10, 20], [0, 0, 16, 16], [12, 8, 20, 24]])
    person = torch.tensor([0, 0, 0, 1, 2, 2])
    places = box[person, :2] + torch.rand(6, 2, generator=generator) * (box[person, 2:] - 1)
    plain = PoseBatch.of_pictures(torch.zeros(2, 3, 32, 32), torch.tensor([0, 1, 1]), box)
    return replace(
        plain, to_detect=False, coarse=torch.randint(0, 3, (3, 16, 16), generator=generator),
        instance_index=person, points=places, part=torch.arange(1, 7),
        uv=torch.rand(6, 2, generator=generator), confidence=torch.ones(6),
    )  # fmt: skip


def test_the_region_of_a_whole_picture_has_its_px() -> None:
    points, box = torch.tensor([[0.0, 31.0], [7.5, 3.0]]), torch.tensor([[0.0, 0, 32, 32]]).expand(2, 4)
    assert torch.equal(region_px(points, box, 32), points)
    assert torch.equal(region_px(points, box, 16), (points - 0.5) / 2)


def test_labels_are_those_of_the_nearest_pixel() -> None:
    """Each region's pixels, one by one."""
    batch = labelled()
    box, person = torch.tensor([[3.0, 5, 12, 22], [-4, 20, 30, 30]]), torch.tensor([0, 2])
    found = sample_regions(batch.coarse, box, person, 7, 2)
    for region in range(2):
        x0, y0, width, height = box[region].tolist()
        for row in range(7):
            for column in range(7):
                x, y = x0 + (column + 0.5) / 7 * width - 0.5, y0 + (row + 0.5) / 7 * height - 0.5
                i, j = int((y - 0.5) / 2 + 100.5) - 100, int((x - 0.5) / 2 + 100.5) - 100
                inside = 0 <= i < 16 and 0 <= j < 16
                wanted = batch.coarse[person[region], i, j].item() if inside else IGNORE
                assert found[region, row, column] == wanted


def test_map_pixels_lie_in_a_box_by_their_centres() -> None:
    """Each of 5 x 6 pixels of stride 4, one by one: pixel (0, 0) has its centre at (2, 2)."""
    box = torch.tensor([[2.0, 6, 12, 4.5], [-3, -3, 4.9, 40], [2.1, 0, 4, 4], [0, 0, 24, 20]])
    found = inside_boxes(box, (5, 6), 4)
    for (x, y, width, height), inside in zip(box.tolist(), found):
        for row in range(5):
            for column in range(6):
                centre = 4 * column + 2, 4 * row + 2
                wanted = x <= centre[0] < x + width and y <= centre[1] < y + height
                assert inside[row, column] == wanted
    assert found.sum((1, 2)).tolist() == [6, 0, 1, 30]
    assert to_corners(box)[0].tolist() == [2, 6, 14, 10.5]


def test_points_go_to_every_region_of_their_person() -> None:
    batch = labelled()
    box = torch.tensor([[4.0, 6, 10, 20], [4, 6, 10, 20], [12, 8, 20, 24]])
    regions = region_labels(batch, box, torch.tensor([0, 0, 2]), 8)
    assert regions.instance_index.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert regions.part.tolist() == [1, 2, 3, 1, 2, 3, 5, 6]
    assert regions.confidence is not None
    assert regions.confidence.tolist() == [0.5] * 6 + [1.0] * 2
    wanted = (batch.points[4] - box[2, :2] + 0.5) / box[2, 2:] * 8 - 0.5
    torch.testing.assert_close(regions.points[6], wanted)
    assert regions.stride == 1


def test_what_lies_outside_is_left_out() -> None:
    regions = region_labels(labelled(), torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([0]), 8)
    assert len(regions.points) == 0


def maps(regions: int, side: int) -> DensePoseMaps:
    torch.manual_seed(1)
    shapes = {"fine_segm": 25, "u": 24, "v": 24, "coarse_segm": 15}
    return DensePoseMaps(**{
        name: torch.randn(1, count, 1, 1).expand(regions, count, side, side) for name, count in shapes.items()
    })  # fmt: skip


def test_two_regions_of_a_person_count_as_one() -> None:
    """So the loss does not depend on how many regions were drawn, and parts of a batch add up."""
    batch, terms = labelled(), loss_terms()
    person = torch.arange(3)
    once = region_labels(batch, batch.box, person, 8)
    twice = region_labels(batch, batch.box.repeat(2, 1), person.repeat(2), 8)
    (one, _), (two, report) = (
        total_loss(ModelOutput((maps(len(each.box), 8),), regions=each), batch, terms)
        for each in (once, twice)
    )
    torch.testing.assert_close(one, two)
    assert {"stack0/part", "stack0/uv", "stack0/coarse", "stack0/background"} <= report.keys()


def test_two_pictures_apart_have_the_loss_of_both() -> None:
    batch, terms = labelled(), loss_terms()
    whole, _ = total_loss(
        ModelOutput((maps(3, 8),), regions=region_labels(batch, batch.box, torch.arange(3), 8)), batch, terms
    )
    counts = count_labels(terms, batch)
    total = torch.zeros(())
    for people in (slice(0, 1), slice(1, 3)):
        mine = (batch.instance_index >= people.start) & (batch.instance_index < people.stop)
        first = torch.zeros(people.stop - people.start, dtype=torch.int64)
        part = replace(
            batch, images=batch.images[:1], image_index=first,
            annotation_id=batch.annotation_id[people], box=batch.box[people], coarse=batch.coarse[people],
            instance_index=batch.instance_index[mine] - people.start, points=batch.points[mine],
            part=batch.part[mine], uv=batch.uv[mine], confidence=torch.ones(int(mine.sum())),
        )  # fmt: skip
        regions = region_labels(part, part.box, torch.arange(len(part.box)), 8)
        output = ModelOutput((maps(len(part.box), 8),), regions=regions)
        total = total + total_loss(output, part, terms, None, counts)[0]
    torch.testing.assert_close(total, whole)


def test_nobody_gives_a_loss_of_nothing_with_a_gradient() -> None:
    batch = PoseBatch.of_pictures(
        torch.zeros(1, 3, 32, 32), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4)
    )
    batch = replace(batch, coarse=torch.zeros(0, 16, 16, dtype=torch.int64))
    weight = torch.ones(1, requires_grad=True)
    nothing = maps(0, 8).map(lambda each: each * weight)
    regions = region_labels(batch, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 8)
    total, _ = total_loss(ModelOutput((nothing,), regions=regions), batch, loss_terms())
    total.backward()
    assert total == 0
    assert weight.grad == 0
