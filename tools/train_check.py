"""Train and test the check that knows whether a carried label is right, on rendered clips with exact flow.

    slimdp synthesize --preset small --seed 9002 --set train_clips=60 --set frames=7 --set 'labelled=[3]' \\
        --set style.tempo=2 --set stills=0 --set val_stills=0 --set val_clips=0 --out data/learn
    python -m flow_cache precompute data/learn/images/clips/* --estimator raft_small --out raft.h5
    python tools/train_check.py --learn data/learn=raft.h5 --learn data/learn=dis.h5 \\
        --test data/test=test_raft.h5 --results experiments/motion/check.json

Vectors are of pixels on people, who are those of the sets' files of all frames. A vector is right where what
its pixel shows is in sight in the other frame, and the vector ends within 4 px of it, of a 256 px crop of the
person; in the table of the test also within 3 px of the clip. The check keeps what it holds for likely
enough; where 95 % of the right vectors pass, the share of the wrong ones that do measures it. The
forward-backward check, with and without the looks at regions and colours, stands beside it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import make_parser
from result_rows import current_commit
from torch import nn

from flow_cache import FlowChainReader, FlowStore, trace_points
from flow_cache.runtime.atomic import write_json, write_text
from flow_cache.runtime.machine import describe_machine
from flow_cache.runtime.progress import shown, tracked
from slimdp.config import CropSettings
from slimdp.data import read_annotations
from slimdp.data.box_frame import sample_coarse
from slimdp.motion import LabelTransfer, TransferSettings
from slimdp.motion.carried_features import FEATURES, CarriedPoints, carried_features
from slimdp.motion.colour_check import BLUR_PX, ColourCheck, blurred_lab
from slimdp.motion.label_transfer import image_px, region_at
from slimdp.motion.learned_check import CheckNetwork
from slimdp.structures import PersonAnnotation
from slimdp.synthetic.exact_flow import read_visible

RIGHT_CROP_PX, RIGHT_IMAGE_PX = 4.0, 3.0
#: Of the right vectors, those that must pass.
RIGHT_KEPT = 0.95
_REGIONS = [FEATURES.index(name) for name in FEATURES if "region" in name]
HIDDEN = (32, 16)


@dataclass(frozen=True)
class Vectors:
    """N vectors: what is known of them, and what is true."""

    features: np.ndarray  # (N, F) float32
    error_image_px: np.ndarray  # (N,); infinite where hidden
    error_crop_px: np.ndarray
    step: np.ndarray  # (N,) frames
    passed: dict[str, np.ndarray]  # (N,) bool by the name of a check

    @staticmethod
    def joined(parts: Sequence[Vectors]) -> Vectors:
        """All vectors of several."""
        names = ("features", "error_image_px", "error_crop_px", "step")
        arrays = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
        passed = {name: np.concatenate([p.passed[name] for p in parts]) for name in parts[0].passed}
        return Vectors(*arrays, passed)


class RenderedClips:
    """Vectors on the people of a rendered set along a store, and the truth about them."""

    def __init__(self, data: Path, store: Path, most: int, reach: int, longest: int | None) -> None:
        self._data, self._most, self._reach = data, most, reach
        self._store, self._exact = FlowStore(store), FlowStore(data / "flow_exact")
        self._chains = FlowChainReader(self._store, longest)
        self._exact_chains = FlowChainReader(self._exact)
        labels = read_annotations(data / "clips_train_every_frame.json", data, read_masks=True)
        self._people = labels.people_by_image()
        self._images = [image for image in labels.images if self._people.get(image.id)]
        self._colours = ColourCheck(14)

    def vectors(self, rng: np.random.Generator, frames: Sequence[int]) -> Iterator[Vectors]:
        """Of the people of some frames of all clips that the store has, over all steps within reach."""
        for image in tracked(self._images, "look at", "frames"):
            video, frame = image.file.parent.name, int(image.file.stem)
            if video not in self._store.videos() or frame not in frames:
                continue
            for step in range(-self._reach, self._reach + 1):
                last = len(self._store.frames(video))
                hops = self._chains.hops(video, frame, step) if step and 0 <= frame + step < last else ()
                for person in self._people[image.id] if hops else ():
                    if person.coarse is not None:
                        yield self._of_person(rng, person, video, frame, step, hops)

    def _of_person(
        self, rng: np.random.Generator, person: PersonAnnotation, video: str, frame: int, step: int, hops: Any
    ) -> Vectors:
        points = points_on(person, rng, self._most)
        chain = self._chains.read(video, frame, hops)
        unit = image_px(1.0, person, CropSettings())
        files = [self._data / f"images/clips/{video}/{at:06d}.jpg" for at in (frame, frame + step)]
        lab_0, lab_1 = (blurred_lab(file, BLUR_PX * unit) for file in files)
        others = [other for other in self._people[person.image.id] if other is not person]
        carried = CarriedPoints(
            points, chain, step, lab_0, lab_1, unit, lambda at: region_at(person, others, at, "part")
        )
        moved, features = carried_features(carried)
        error_px = self._error(points, moved.points_1, video, frame, step)
        passed = {}
        for name, by, colours in (
            ("offset", "none", False),
            ("regions", "part", False),
            ("colours", "part", True),
        ):
            settings = TransferSettings.parse({"regions": {"by": by, "outlines": False}})
            alike = self._colours.between(*files, unit) if colours else None
            transfer = LabelTransfer(person, chain, step, settings, others_0=others, alike=alike)
            passed[name] = transfer.move_labels(points).kept
        inside = moved.kept
        passed["inside"] = inside
        error_px = np.where(inside, error_px, np.inf)
        return Vectors(features, error_px, error_px / unit, np.full(len(points), step), passed)

    def _error(
        self, points_0: np.ndarray, points_1: np.ndarray, video: str, frame: int, step: int
    ) -> np.ndarray:
        """End-point errors (N,) image px, infinite where a pixel is hidden on the way."""
        at, seen = points_0.copy(), np.ones(len(points_0), dtype=bool)
        for hop in self._exact_chains.require_hops(video, frame, step):
            visible = read_visible(self._data / f"visible/{video}/{frame:06d}.png", hop)
            x, y = np.round(at).astype(int).T
            inside = (x >= 0) & (y >= 0) & (x < visible.shape[1]) & (y < visible.shape[0])
            seen &= inside
            seen[inside] &= visible[y[inside], x[inside]]
            at = trace_points(at, self._exact_chains.read(video, frame, (hop,)))
            frame += hop
        return np.where(seen, np.linalg.norm(points_1 - at, axis=1), np.inf)


def points_on(person: PersonAnnotation, rng: np.random.Generator, most: int) -> np.ndarray:
    """Pixels on a person, at most so many at random: (N, 2) x, y image px."""
    assert person.coarse is not None
    x, y, width, height = person.box
    columns, rows = np.arange(np.ceil(x), x + width), np.arange(np.ceil(y), y + height)
    points = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    limit = np.array([person.image.width, person.image.height])
    points = points[((points >= 0) & (points < limit)).all(axis=1)]
    label = sample_coarse(person.coarse, person.box, points, outside=0)[0]
    points = points[(label > 0) & (label < 255)]
    return points[rng.permutation(len(points))[:most]]


def train(parts: Sequence[Vectors], steps: int, seed: int) -> CheckNetwork:
    """Learn from several sources, each of which counts as much; a quarter of the vectors have no regions."""
    rng, generator = np.random.default_rng(seed), torch.manual_seed(seed)
    inside = [part.passed["inside"] for part in parts]
    features = np.concatenate([part.features[at] for part, at in zip(parts, inside)])
    right = np.concatenate([part.error_crop_px[at] <= RIGHT_CROP_PX for part, at in zip(parts, inside)])
    chance = np.concatenate([np.full(at.sum(), 1 / at.sum()) for at in inside])
    blind = rng.random(len(features)) < 0.25
    features[np.ix_(blind, _REGIONS)] = [0.0 if FEATURES[at] == "has_regions" else 1.0 for at in _REGIONS]
    mean, deviation = features.mean(axis=0), features.std(axis=0).clip(1e-3)
    inputs = torch.from_numpy((features - mean) / deviation)
    wanted, odds = torch.from_numpy(right).float(), torch.from_numpy(chance)
    sizes = (len(FEATURES), *HIDDEN, 1)
    layers = [nn.Linear(*pair) for pair in pairwise(sizes)]
    network = nn.Sequential(*[module for layer in layers for module in (layer, nn.ReLU())][:-1])
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-3)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in tracked(range(steps), "train the check", "steps"):
        rows = (
            torch.multinomial(odds, 2048, replacement=True, generator=generator)
            if len(odds) < 2**24
            else None
        )
        loss = nn.functional.binary_cross_entropy_with_logits(network(inputs[rows])[:, 0], wanted[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
    numbers = [(one.weight.detach().numpy(), one.bias.detach().numpy()) for one in layers]
    return CheckNetwork(mean, deviation, numbers)


def as_json(network: CheckNetwork) -> str:
    """What `CheckNetwork.read` reads, five digits a number."""

    def short(array: np.ndarray) -> str:
        return "[" + ", ".join(short(a) if a.ndim else f"{float(a):.5g}" for a in array) + "]"

    layers = ",\n".join(f'  {{"weight": {short(w)},\n   "bias": {short(b)}}}' for w, b in network.layers)
    names = ", ".join(f'"{name}"' for name in FEATURES)
    return (
        f'{{"features": [{names}],\n "mean": {short(network.mean)},\n'
        f' "deviation": {short(network.deviation)},\n "layers": [\n{layers}]}}\n'
    )


def table(network: CheckNetwork, vectors: Vectors) -> list[dict[str, Any]]:
    """For both measures of right: what each check keeps of the right and the wrong vectors, %."""
    inside = vectors.passed["inside"]
    probability = np.where(inside, network.probability(vectors.features), 0)
    offset = np.where(inside, vectors.features[:, FEATURES.index("offset_most")], np.inf)
    rows = []
    for measure, error, limit in (
        ("3 px of the clip", vectors.error_image_px, RIGHT_IMAGE_PX),
        ("4 px of a 256 px crop", vectors.error_crop_px, RIGHT_CROP_PX),
    ):
        right = error <= limit
        least = np.quantile(probability[right], 1 - RIGHT_KEPT)
        most = np.quantile(offset[right], RIGHT_KEPT)
        checks = {
            f"forward-backward, {np.expm1(most):.2f} px": offset <= most,
            "forward-backward, 5 px": vectors.passed["offset"],
            "and regions": vectors.passed["regions"],
            "and colours, 14": vectors.passed["colours"],
            f"learned, {least:.2f}": probability >= least,
            "learned, 0.50": probability >= 0.5,
        }
        for name, kept in checks.items():
            rows.append({
                "right within": measure, "vectors": len(right), "wrong": percent(~right), "check": name,
                "right kept": percent(kept[right]), "wrong kept": percent(kept[~right]),
                "right of kept": percent(right[kept]),
            })  # fmt: skip
    return rows


def reliability(network: CheckNetwork, vectors: Vectors) -> list[dict[str, float | int]]:
    """In tenths of the probability: how many vectors, what was said and what is true."""
    inside = vectors.passed["inside"]
    probability = network.probability(vectors.features[inside])
    right = vectors.error_crop_px[inside] <= RIGHT_CROP_PX
    tenth = np.minimum((10 * probability).astype(int), 9)
    return [
        {
            "vectors": int((tenth == bin).sum()),
            "said": percent(probability[tenth == bin]),
            "right": percent(right[tenth == bin]),
        }
        for bin in range(10)
    ]


def percent(values: np.ndarray) -> float:
    return round(100 * float(np.mean(values)), 1) if len(values) else float("nan")


def main() -> None:
    parser = make_parser(__doc__)
    for name in ("--learn", "--test"):
        parser.add_argument(name, action="append", required=True, metavar="SET=STORE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--frames", default="0,3,6", help="frames of clips to learn from (default 0,3,6)")
    parser.add_argument("--test-frames", default="6")
    parser.add_argument("--points", type=int, default=120, help="vectors a person and step to learn from")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with shown():
        run(options)


def run(options: argparse.Namespace) -> None:
    rng = np.random.default_rng(options.seed)
    frames, test_frames = (
        [int(f) for f in text.split(",")] for text in (options.frames, options.test_frames)
    )
    learned = []
    for source in options.learn:
        data, _, store = source.partition("=")
        for longest in (None, 1):  # the longest hops that there are, and from frame to frame
            clips = RenderedClips(Path(data), Path(store), options.points, 6, longest)
            learned += [Vectors.joined(found)] if (found := list(clips.vectors(rng, frames))) else []
    network = train(learned, options.steps, options.seed)
    write_text(options.out, as_json(network))
    network = CheckNetwork.read(options.out)
    results = {}
    for source in options.test:
        data, _, store = source.partition("=")
        clips = RenderedClips(Path(data), Path(store), 1500, 3, None)
        vectors = Vectors.joined(list(clips.vectors(rng, test_frames)))
        results[Path(store).stem] = {
            "table": table(network, vectors),
            "reliability": reliability(network, vectors),
        }
        for row in results[Path(store).stem]["table"]:
            print(row)
        for row in results[Path(store).stem]["reliability"]:
            print(row)
    if options.results:
        about = {"seed": options.seed, "machine": describe_machine(), "commit": current_commit()}
        count = sum(len(part.step) for part in learned)
        write_json(options.results, {**about, "learned from vectors": count, **results})


if __name__ == "__main__":
    main()
