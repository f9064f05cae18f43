"""Networks of whole pictures: whose maps are whose, and what they do not take."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from slimdp.config import CropSettings, ModelSpec
from slimdp.data.pictures import picture_affine
from slimdp.geometry import apply_affine, invert_affine
from slimdp.inference import predict_people
from slimdp.inference.calibration import error_samples
from slimdp.inference.image_pose import PersonPose
from slimdp.inference.person_maps import CropNetwork
from slimdp.inference.pictures import Picture, predict_pictures
from slimdp.inference.predictor import instance_of
from slimdp.inference.video_records import TrackedPerson, VideoFrame
from slimdp.models import DensePoseModel
from slimdp.structures import DensePoseMaps, ImageRecord, Instances, ModelOutput, PersonAnnotation, PoseBatch
from slimdp.surface import PEOPLE
from tests.inference.test_error_bars import bars_of

CROP = CropSettings(size=128)
#: Left, top, right, bottom px of two bright people, and somewhat larger boxes xywh of them.
PEOPLE_PX = ((12, 12, 40, 80), (60, 10, 100, 78))
BOXES = np.array([[9.0, 8, 34, 76], [56, 7, 47, 75]])


class SeesBright(DensePoseModel):
    """Takes what is bright for people, in one map of the picture, where u and v say the place in it."""

    spec = ModelSpec(stride=4, size_multiple=4, input="image")
    layout = PEOPLE

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))
        self.batches: list[int] = []

    def forward(self, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        self.batches.append(len(batch.images))
        seen = 40 * nn.functional.avg_pool2d(batch.images, 4).mean(1, keepdim=True) - 20 + self.shift
        count, _, height, width = seen.shape
        fine = torch.cat([-seen, -30 + 0 * seen.expand(-1, 24, -1, -1)], dim=1)
        fine[:, 3] = seen[:, 0]
        x, y = ((torch.arange(side) + 0.5) / side for side in (width, height))
        u = x.expand(count, 24, height, width)
        v = y[:, None].expand(count, 24, height, width)
        maps = DensePoseMaps(fine, u, v, fine[:, :15])
        window = batch.box.new_tensor([0, 0, 4 * width, 4 * height]).expand(len(batch.box), 4)
        of_people = maps.map(batch.of_instances)
        score = torch.ones(len(batch.box))
        return ModelOutput(
            (maps,), instances=Instances(batch.image_index, batch.box, score, of_people, window)
        )


def picture() -> np.ndarray:
    """(90, 120, 3) uint8 RGB."""
    image = np.zeros((90, 120, 3), np.uint8)
    for left, top, right, bottom in PEOPLE_PX:
        image[top:bottom, left:right] = 255
    return image


def people(folder: Path, pictures: int = 1) -> list[PersonAnnotation]:
    """Both people of some pictures."""
    found, nothing = [], np.zeros(0, np.int64)
    for number in range(1, 1 + pictures):
        cv2.imwrite(str(folder / f"{number}.png"), picture())
        image = ImageRecord(number, folder / f"{number}.png", f"{number}.png", 120, 90)
        for box in BOXES:
            points, uv = np.zeros((0, 2)), np.zeros((0, 2), np.float32)
            found.append(PersonAnnotation(len(found) + 1, image, box, points, nothing, uv, nothing, nothing))
    return found


def test_each_persons_mask_lies_in_the_own_box() -> None:
    """Of a network whose one map shows everybody."""
    network, image = CropNetwork(SeesBright(), CROP), picture()
    tracked = [TrackedPerson(number, box, 1.0) for number, box in enumerate(BOXES, start=1)]
    (maps,) = network.predict([(VideoFrame(0, Fraction(0), image), tracked)])
    square = picture_affine(ImageRecord(0, Path(), "", 120, 90), CROP.size)
    for person, (left, top, right, bottom) in zip(maps.people, PEOPLE_PX, strict=True):
        assert person.size == CROP.size
        said = instance_of(person, 0)
        mask = PersonPose(image, said, PEOPLE, "open").mask
        shown = np.zeros_like(mask)
        shown[top:bottom, left:right] = True
        assert (mask & shown).sum() > 0.9 * (mask | shown).sum()
        # Every pixel says where it is: what the map says there.
        row, column = np.nonzero(said.foreground)
        at = apply_affine(invert_affine(said.crop_from_image), np.stack([column, row], axis=1).astype(float))
        wanted = (apply_affine(square, at) + 0.5) / CROP.size
        np.testing.assert_allclose(said.uv[:, row, column].T, wanted, atol=2e-3)


def test_a_box_that_reaches_out_of_the_picture_is_cut_to_it() -> None:
    network, image = CropNetwork(SeesBright(), CROP), picture()
    image[:, 100:] = 255
    tracked = [TrackedPerson(1, np.array([90.0, -20, 60, 150]), 1.0)]
    (maps,) = network.predict([(VideoFrame(0, Fraction(0), image), tracked)])
    mask = PersonPose(image, instance_of(maps.people[0], 0), PEOPLE, "open").mask
    assert mask[:, 102:].all()
    assert not mask[:8, :98].any()


def test_error_bars_of_whole_pictures_are_refused(tmp_path: Path) -> None:
    model, everyone = SeesBright(), people(tmp_path)
    with pytest.raises(ValueError, match=r"whole pictures, of which there are no error bars"):
        list(predict_people(model, everyone, CROP, error_bars=bars_of()))
    with pytest.raises(ValueError, match=r"whole pictures.*slimdp calibrate takes networks of crops"):
        error_samples(model, everyone, CROP, surface=None)  # type: ignore[arg-type]
    assert model.batches == []


def test_as_many_pictures_go_through_together_as_is_said(tmp_path: Path) -> None:
    model, everyone = SeesBright(), people(tmp_path, pictures=5)
    assert len(list(predict_people(model, everyone, CROP))) == 10
    assert model.batches == [4, 1]
    assert len(list(predict_people(model, everyone, CROP, batch=3))) == 10
    assert model.batches[2:] == [3, 2]
    with pytest.raises(ValueError, match="batch = 0"):
        list(predict_people(model, everyone, CROP, batch=0))


def test_pictures_with_boxes_and_without_do_not_go_together() -> None:
    image = ImageRecord(1, Path(), "a.png", 120, 90)
    mixed = [Picture(image, picture(), BOXES, (1, 2)), Picture(image, picture())]
    with pytest.raises(ValueError, match=r"1 of 2 pictures have boxes.*all of a batch, or none"):
        list(predict_pictures(SeesBright(), mixed, CROP))
