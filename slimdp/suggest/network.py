"""What a network says of frames: features by which they are alike, and how unsure it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from slimdp.config import CropSettings
from slimdp.data.crops import crop_affine, crop_image
from slimdp.data.outline import require_kept_background
from slimdp.inference.decoding import person_log_odds
from slimdp.models import DensePoseModel, evaluating
from slimdp.structures import DensePoseMaps, PoseBatch

#: Features are means over so many cells along each side of a crop.
_CELLS = 2


@torch.inference_mode()
def describe_frames(
    model: DensePoseModel,
    frames: Iterable[tuple[np.ndarray, Sequence[np.ndarray]]],
    crop: CropSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Features (F, D) and uncertainty (F,) of frames.

    A frame is an image (H, W, 3) uint8 RGB with boxes x, y, width, height px of its people; without any it is
    looked at as a whole. Features are means of the network's last ones, over cells of the crops and people.
    The uncertainty is `mean_entropy`.
    """
    if model.spec.input != "crop":
        raise ValueError("the network takes whole pictures with the people in them; one of crops is wanted")
    require_kept_background(crop)
    weight, name = next(model.parameters()), model.spec.features[0]
    features, unsure = [], []
    for image, boxes in frames:
        whole = np.array([0.0, 0.0, image.shape[1], image.shape[0]])
        affines = [crop_affine(box, crop) for box in (boxes or [whole])]
        crops = np.stack([crop_image(image, affine, crop.size) for affine in affines])
        batch = torch.from_numpy(crops).to(weight.device).permute(0, 3, 1, 2).to(weight.dtype) / 255
        with evaluating(model):
            output = model(PoseBatch.of_images(batch), [name])
        maps = output.features[-1][name]
        cells = torch.nn.functional.adaptive_avg_pool2d(maps, _CELLS).flatten(1).mean(dim=0)
        features.append(cells.float().cpu().numpy())
        unsure.append(mean_entropy(output.best))
    return np.stack(features), np.array(unsure)


def mean_entropy(maps: DensePoseMaps) -> float:
    """The mean entropy of the part, in nats, weighted by the chance that a pixel is a person."""
    person = person_log_odds(maps).float().sigmoid()
    logs = maps.fine_segm[:, 1:].float().log_softmax(dim=1)
    entropy = -(logs.exp() * logs).sum(dim=1)
    return float((entropy * person).sum() / person.sum().clamp(min=1))
