"""What a trained network says of a person in a box, for proposals."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from slimdp.annotate.people import EditError
from slimdp.annotate.session import Session
from slimdp.data.box_frame import FRAME, frame_pixel_centres
from slimdp.geometry import apply_affine
from slimdp.inference.person_maps import CropNetwork
from slimdp.inference.video_records import PersonMaps, TrackedPerson, VideoFrame
from slimdp.inference.weights import find_weights
from slimdp.maps import upsample_map
from slimdp.surface.layout import PartLayout
from slimdp.training import load_model

_LOADED: dict[str, CropNetwork] = {}


@dataclass(frozen=True)
class NetworkAnswer:
    """Maps over a person's crop, S x S px."""

    person: PersonMaps
    layout: PartLayout

    def coarse(self, box: np.ndarray) -> np.ndarray:
        """The coarse parts over a box, (256, 256) uint8, 0 where it sees nobody."""
        labels = upsample_map(self.person.maps.coarse_segm, self.person.stride)[0].argmax(dim=0)
        rows, columns = self._pixels(frame_pixel_centres(box).reshape(-1, 2))
        return labels.numpy()[rows, columns].reshape(FRAME, FRAME).astype(np.uint8)  # type: ignore[no-any-return]

    def at(self, points: np.ndarray, coarse: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of points (N, 2) x, y px of the picture, on coarse parts (N,): part, (u, v), chance of that part.

        The chance is among all parts and the background.
        """
        rows, columns = self._pixels(points)

        def read(maps: Tensor) -> np.ndarray:
            return upsample_map(maps, self.person.stride)[0][:, rows, columns].T.numpy()  # (N, C)

        chance = torch.softmax(torch.from_numpy(read(self.person.maps.fine_segm)), dim=1).numpy()
        own = self.layout.coarse_of_part[None] == coarse[:, None]
        part = np.where(own, chance, -1).argmax(axis=1)
        row = np.arange(len(part))
        uv = np.column_stack([read(maps)[row, part - 1] for maps in (self.person.maps.u, self.person.maps.v)])
        return part, uv.clip(0, 1), chance[row, part]

    def _pixels(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        crop = np.rint(apply_affine(self.person.crop_from_image, points)).astype(int)
        column, row = crop.clip(0, self.person.size - 1).T
        return row, column


def ask_network(session: Session, image: np.ndarray, box: np.ndarray) -> NetworkAnswer:
    """Look at a person in a box (4,) xywh px; EditError without weights, or with some of another surface."""
    if session.weights is None:
        raise EditError("no network is given; begin with --weights stage_NAME.pt")
    network = load_network(session.weights)
    layout = session.surface.layout
    try:
        network.model.layout.check_same_labels(layout, session.weights, session.surface.name)
    except ValueError as error:
        raise EditError(str(error)) from None
    tracked = TrackedPerson(1, box, 1.0)
    with torch.inference_mode():
        (maps,) = network.predict([(VideoFrame(0, Fraction(0), image), [tracked])])
    return NetworkAnswer(maps.people[0], layout)


def load_network(weights: str) -> CropNetwork:
    """The network of a checkpoint, read once."""
    if weights not in _LOADED:
        model, config = load_model(find_weights(weights))
        _LOADED[weights] = CropNetwork(model, config.crop)
    return _LOADED[weights]
