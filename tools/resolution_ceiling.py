"""What a network that knows the truth would score: rendered truth through maps of the network's resolution.

    python tools/resolution_ceiling.py data/small --crops 256 128

For each validation file of the set and each size of crop, the truth under every person is read into maps of
a quarter of that size: the part at each map pixel, and u and v, each part's continued from its nearest
pixel beyond its rim. They are decoded, saved and scored as a network's would be. The row without maps reads
the truth at full resolution, that of regions through 56 x 56 px over each person's own box, as the region
network has them whose detector is perfect. Prints tables, and one JSON line last.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from measuring import make_parser, tell
from scipy.ndimage import distance_transform_edt

from slimdp.config import CropSettings
from slimdp.data import crop_affine, read_annotations
from slimdp.evaluation import PredictionWriter, evaluate_files
from slimdp.geometry import apply_affine, crop_from_map, invert_affine
from slimdp.inference.decoding import decode
from slimdp.inference.pictures import window_affine
from slimdp.models.region.branches import SIDE
from slimdp.report import instance_table, interval_table
from slimdp.structures import DensePoseInstance, DensePoseMaps, PersonAnnotation
from slimdp.surface import PEOPLE, load_surface

#: Score of the true class; off the person, that of the nearest part: "localization" asks for it there.
_STRIDE = 4  # of the hourglass
_LOGIT, _NEAR_LOGIT = 10.0, 1.0


def main() -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="a rendered set")
    parser.add_argument("--files", nargs="+", default=["stills_val.json", "clips_val.json"])
    parser.add_argument("--crops", type=int, nargs="+", default=[256, 128], help="sizes of crops, px")
    parser.add_argument("--kappa", choices=["per-part", "paper"], default="per-part")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, Any]] = {}
    for file in options.files:
        found[file] = {}
        points, instances = {}, {}
        ways = [
            View(options.crops[0], mapped=False),
            *map(View, options.crops),
            View(_STRIDE * SIDE, boxes=True),
        ]
        for view in ways:
            name = str(view)
            evaluation = _evaluate(options.data, file, view, options.kappa)
            assert evaluation.points is not None
            points[f"{name}, full"] = evaluation.points.all, "full"
            points[f"{name}, localization"] = evaluation.points.all, "localization"
            instances |= {f"{name}, {kind}": scores for kind, scores in evaluation.instances.items()}
            found[file][name] = {"points": evaluation.points.all.as_json(), **evaluation.instances}
        print(f"{file}\n{interval_table(points)}\n\n{instance_table(instances)}\n", flush=True)
    tell(found)
    return 0


class View(NamedTuple):
    """How the truth is looked at."""

    size: int  # px of the answer
    mapped: bool = True  # through maps of a quarter of that
    boxes: bool = False  # that lie over the person's box, in place of a square around it

    def __str__(self) -> str:
        seen = "boxes" if self.boxes else f"crops of {self.size}"
        return f"{self.size // _STRIDE} px maps, {seen}" if self.mapped else f"no maps, {seen}"

    def affine(self, box: np.ndarray) -> np.ndarray:
        """Px of the picture -> px of the answer, (2, 3)."""
        if self.boxes:
            return window_affine(box, self.size, np.eye(2, 3))
        return crop_affine(box, CropSettings(size=self.size))


def _evaluate(data: Path, file: str, view: View, kappa: str) -> Any:
    people = read_annotations(data / file, data, read_masks=True).people
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.h5"
        with PredictionWriter(path, view.size) as writer:
            for prediction in _predictions(data, people, view):
                writer.write(prediction)
        return evaluate_files(path, data / file, load_surface("open"), kappa)


def _predictions(data: Path, people: tuple[PersonAnnotation, ...], view: View) -> Iterator[DensePoseInstance]:
    for person in people:
        affine, crop = view.affine(person.box), view.size
        truth = _true_maps(data, person)
        if view.mapped:
            places = crop_from_map(np.arange(crop // _STRIDE), _STRIDE)
            decoded = decode(_as_network(_read(truth, affine, places)), _STRIDE)
            part, uv = decoded.part[0].numpy(), decoded.uv[0].half().numpy()
            foreground = decoded.foreground[0].numpy()
        else:
            maps = _read(truth, affine, np.arange(crop))
            # Off the person the nearest pixel of it answers.
            near = _nearest(maps[0] > 0) if maps[0].any() else np.mgrid[:crop, :crop]
            part = np.maximum(maps[0][tuple(near)], 1)
            uv = (maps[1:][:, near[0], near[1]] / 255).astype(np.float16)
            foreground = maps[0] > 0
        yield DensePoseInstance(
            person.id, person.image.id, person.box, 1.0, affine, part, uv, foreground
        )  # fmt: skip


def _true_maps(data: Path, person: PersonAnnotation) -> np.ndarray:
    """Part, 255 u, 255 v (3, H, W) of one person, 0 elsewhere."""
    name = person.image.file_name.replace("images/", "iuv/", 1)
    pixels = cv2.imread(str((data / name).with_suffix(".png")), cv2.IMREAD_COLOR)
    if pixels is None or person.mask is None:
        raise SystemExit(f"{data}: no truth of {name}, or no outline of {person.id}; is it a rendered set?")
    return np.ascontiguousarray(pixels[..., ::-1].transpose(2, 0, 1)) * person.mask


def _read(truth: np.ndarray, affine: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Maps (3, H, W) at the nearest pixel of crop places (n) x (n): (3, n, n)."""
    y, x = np.meshgrid(places, places, indexing="ij")
    image_px = apply_affine(invert_affine(affine), np.stack([x.ravel(), y.ravel()], axis=1))
    column, row = np.floor(image_px + 0.5).astype(np.int64).T
    height, width = truth.shape[1:]
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    values = truth[:, row * inside, column * inside] * inside
    return values.reshape(3, len(places), len(places)).astype(np.uint8)


def _nearest(there: np.ndarray) -> np.ndarray:
    """Row and column (2, n, n) of the nearest pixel that is there."""
    return distance_transform_edt(~there, return_distances=False, return_indices=True)


def _as_network(maps: np.ndarray) -> DensePoseMaps:
    """Part, 255 u, 255 v (3, n, n) as the maps of one crop."""
    part, side = torch.from_numpy(maps[0].astype(np.int64)), maps.shape[1]
    coarse = torch.from_numpy(PEOPLE.coarse_of_part[maps[0]].astype(np.int64))
    uv = np.zeros((2, len(PEOPLE.parts), side, side), dtype=np.float32)
    for label in np.unique(maps[0][maps[0] > 0]):
        row, column = _nearest(maps[0] == label)
        uv[:, label - 1] = maps[1:, row, column] / 255

    def one_hot(labels: torch.Tensor, classes: int) -> torch.Tensor:
        return _LOGIT * torch.nn.functional.one_hot(labels, classes).permute(2, 0, 1)[None].float()

    fine_segm = one_hot(part, len(PEOPLE.parts) + 1)
    if maps[0].any():
        row, column = _nearest(maps[0] > 0)
        near = torch.from_numpy(maps[0][row, column].astype(np.int64))
        fine_segm = fine_segm + one_hot(near, len(PEOPLE.parts) + 1) * (part == 0) * _NEAR_LOGIT / _LOGIT
    return DensePoseMaps(
        fine_segm=fine_segm,
        u=torch.from_numpy(uv[:1]),
        v=torch.from_numpy(uv[1:]),
        coarse_segm=one_hot(coarse, len(PEOPLE.coarse_parts) + 1),
    )


if __name__ == "__main__":
    sys.exit(main())
