"""The learned check in its place: what `slimdp propagate` and training pairs give it to judge labels by."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from slimdp.motion.carried_features import CarriedPoints
from slimdp.motion.label_transfer import LabelTransfer, TransferSettings, image_px, region_at
from slimdp.motion.learned_check import JudgedPoints, LearnedCheck


def check_of(settings: TransferSettings) -> LearnedCheck | None:
    """The learned check that settings ask for; None: the forward-backward check alone."""
    return None if settings.least_probability is None else LearnedCheck(settings.least_probability)


def judged(transfer: LabelTransfer, check: LearnedCheck | None, file_1: Path) -> LabelTransfer:
    """A transfer to the picture `file_1` whose labels a check judges; None: the transfer as it is.

    The check looks at regions where the person has masks. Raises ImageError for a picture that cannot be
    read.
    """
    return transfer if check is None else replace(transfer, judge=partial(_judge, check, transfer, file_1))


def _judge(check: LearnedCheck, transfer: LabelTransfer, file_1: Path, points_0: np.ndarray) -> JudgedPoints:
    person_0, others_0 = transfer.person_0, transfer.others_0
    has_masks = person_0.coarse is not None or person_0.mask is not None
    regions = partial(region_at, person_0, others_0, by="part") if has_masks else None
    crop_px = image_px(1.0, person_0, transfer.crop)
    images = check.images(person_0.image.file, file_1, crop_px)
    return check.judge(CarriedPoints(points_0, transfer.chain, transfer.step, *images, crop_px, regions))
