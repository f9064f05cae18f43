"""Train and test the check that knows whether a carried label is right, on rendered clips with exact flow.

    slimdp synthesize --preset small --seed 9002 --set train_clips=20 --set frames=7 --set 'labelled=[3]' \\
        --set style.tempo=2 --set stills=0 --set val_stills=0 --set val_clips=0 --out data/short
    slimdp synthesize --preset tiny --seed 1 --out data/long
    python -m flow_cache precompute data/short/images/clips/* --estimator raft_small --out raft.h5
    python -m flow_cache precompute data/long/images/clips/train_* --steps=-1,1 --out dis.h5
    python tools/train_check.py --learn data/short=raft.h5 --learn data/long=dis.h5 --check check.json
    python tools/train_check.py --test data/test=test_raft.h5 --check slimdp/motion/learned_check.json \\
        --results results.json

Vectors are of pixels on people, who are those of the sets' files of all frames. A vector is right where the
other frame shows, where it ends, the same person within 5 cm of the same place of the body. The check
keeps what it holds for likely enough; where 95 % of the right vectors pass, the share of the wrong ones that
do measures it, by the length of the chains. The forward-backward check, with and without the looks at regions
and colours, stands beside it. Over up to three frames the table also counts as right what ends within 3 px of
the clip of where the exact flow leads, and is in sight there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from measuring import make_parser
from propagation_table import read_iuv
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
from slimdp.surface import load_surface
from slimdp.synthetic.exact_flow import read_visible

RIGHT_M, RIGHT_IMAGE_PX = 0.05, 3.0
#: The exact flow is asked where vectors lead over so many frames at most.
SHORT = 3
#: Steps to learn from, frames there and back; the rows of the test, first and last of each.
STEPS = (1, 2, 3, 4, 6, 9, 13, 18, 24, 31, 39)
LENGTHS = ((1, 3), (4, 6), (7, 12), (13, 24), (25, 40))
#: Of the right vectors, those that must pass.
RIGHT_KEPT = 0.95
#: The checks that stand beside it: threshold px, regions, and whether they look at colours.
CHECKS: dict[str, tuple[float, str, bool]] = {
    "forward-backward, 5 px": (5, "none", False),
    "and regions": (5, "part", False),
    "and colours, 14": (5, "part", True),
    "forward-backward, 15 px, regions": (15, "part", False),
}
_KEPT_BYTES = 2**28
_REGIONS = [FEATURES.index(name) for name in FEATURES if "region" in name]
HIDDEN = (32, 16)


@dataclass(frozen=True)
class Vectors:
    """N vectors: what is known of them, and what is true."""

    features: np.ndarray  # (N, F) float32
    error_m: np.ndarray  # (N,) along the body; infinite where somebody or something else shows
    error_image_px: np.ndarray  # (N,) infinite where hidden; NaN where the exact flow was not asked
    step: np.ndarray  # (N,) frames
    passed: dict[str, np.ndarray]  # (N,) bool by the name of a check

    @staticmethod
    def joined(parts: Sequence[Vectors]) -> Vectors:
        """All vectors of several."""
        names = ("features", "error_m", "error_image_px", "step")
        arrays = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
        passed = {name: np.concatenate([p.passed[name] for p in parts]) for name in parts[0].passed}
        return Vectors(*arrays, passed)

    def where(self, chosen: np.ndarray) -> Vectors:
        """Those that a mask (N,) bool chooses."""
        arrays = (self.features, self.error_m, self.error_image_px, self.step)
        passed = {name: values[chosen] for name, values in self.passed.items()}
        return Vectors(*(values[chosen] for values in arrays), passed)


class RenderedClips:
    """Vectors on the people of a rendered set along a store, and the truth about them."""

    def __init__(self, data: Path, store: Path, most: int, steps: Sequence[int], longest: int | None) -> None:
        self._data, self._most = data, most
        self._steps = [way * step for step in steps for way in (1, -1)]
        self._store = FlowStore(store, _KEPT_BYTES)
        self._chains = FlowChainReader(self._store, longest)
        exact = data / "flow_exact"
        self._exact_chains = FlowChainReader(FlowStore(exact, _KEPT_BYTES)) if exact.exists() else None
        labels = read_annotations(data / "clips_train_every_frame.json", data, read_masks=True)
        self._people = labels.people_by_image()
        self._image_of = {(image.file.parent.name, int(image.file.stem)): image for image in labels.images}
        self._surface = load_surface("open")
        self._colours = ColourCheck(14)

    def vectors(self, rng: np.random.Generator, frames: Sequence[int]) -> Iterator[Vectors]:
        """Of the people of some frames of all clips that the store has, over all steps."""
        chosen = [at for at in self._image_of if at[0] in self._store.videos() and at[1] in frames]
        for video, frame in tracked(chosen, "look at", "frames"):
            for step in self._steps:
                if (video, frame + step) not in self._image_of:
                    continue
                hops = self._chains.hops(video, frame, step)
                for person in self._people.get(self._image_of[video, frame].id, ()) if hops else ():
                    if person.coarse is not None:
                        found = self._of_person(rng, person, video, frame, step, hops)
                        if len(found.step):
                            yield found

    def _of_person(
        self, rng: np.random.Generator, person: PersonAnnotation, video: str, frame: int, step: int, hops: Any
    ) -> Vectors:
        points = points_on(person, rng, self._most)
        part, uv = read_iuv(self._iuv(video, frame), points, nearest=True)
        points, part, uv = (values[part > 0] for values in (points, part, uv))
        chain = self._chains.read(video, frame, hops)
        unit = image_px(1.0, person, CropSettings())
        files = [self._image_of[video, at].file for at in (frame, frame + step)]
        lab_0, lab_1 = (blurred_lab(file, BLUR_PX * unit) for file in files)
        others = [other for other in self._people[person.image.id] if other is not person]
        carried = CarriedPoints(
            points, chain, step, lab_0, lab_1, unit, lambda at: region_at(person, others, at, "part")
        )
        moved, features = carried_features(carried)
        passed = {"inside": moved.kept}
        alike = self._colours.between(*files, unit)
        for name, (threshold_px, by, look) in CHECKS.items():
            settings = TransferSettings.parse(
                {"threshold_px": threshold_px, "regions": {"by": by, "outlines": False}}
            )
            transfer = LabelTransfer(
                person, chain, step, settings, others_0=others, alike=alike if look else None
            )
            passed[name] = transfer.move_labels(points).kept
        landed = np.where(moved.kept[:, None], moved.points_1, 0)
        error_m = np.where(moved.kept, self._error_m(person, part, uv, landed, video, frame + step), np.inf)
        error_px = np.full(len(points), np.nan)
        if abs(step) <= SHORT and self._exact_chains is not None:
            error_px = self._error_px(self._exact_chains, points, landed, video, frame, step)
            error_px[~moved.kept] = np.inf
        return Vectors(features, error_m, error_px, np.full(len(points), step), passed)

    def _error_m(
        self,
        person: PersonAnnotation,
        part: np.ndarray,
        uv: np.ndarray,
        points_1: np.ndarray,
        video: str,
        frame: int,
    ) -> np.ndarray:
        """Metres (N,) from places of a person to what shows at points; infinite where somebody else does."""
        people_1 = self._people.get(self._image_of[video, frame].id, ())
        same = next((one for one in people_1 if one.track == person.track and one.coarse is not None), None)
        if same is None:
            return np.full(len(part), np.inf)
        assert same.coarse is not None
        label = sample_coarse(same.coarse, same.box, np.round(points_1), outside=0)[0]
        error_m = self._surface.distance_between(
            part, uv, *read_iuv(self._iuv(video, frame), points_1, nearest=False)
        )
        return np.where(label > 0, error_m, np.inf)

    def _iuv(self, video: str, frame: int) -> np.ndarray:
        pixels = cv2.imread(str(self._data / f"iuv/clips/{video}/{frame:06d}.png"), cv2.IMREAD_COLOR)
        if pixels is None:
            raise SystemExit(f"{self._data}: no iuv of {video}, frame {frame}; is the set whole?")
        return pixels[..., ::-1]

    def _error_px(
        self,
        chains: FlowChainReader,
        points_0: np.ndarray,
        points_1: np.ndarray,
        video: str,
        frame: int,
        step: int,
    ) -> np.ndarray:
        """End-point errors (N,) image px, infinite where a pixel is hidden on the way."""
        at, seen = points_0.copy(), np.ones(len(points_0), dtype=bool)
        for hop in chains.require_hops(video, frame, step):
            visible = read_visible(self._data / f"visible/{video}/{frame:06d}.png", hop)
            x, y = np.round(at).astype(int).T
            inside = (x >= 0) & (y >= 0) & (x < visible.shape[1]) & (y < visible.shape[0])
            seen &= inside
            seen[inside] &= visible[y[inside], x[inside]]
            at = trace_points(at, chains.read(video, frame, (hop,)))
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
    rng = np.random.default_rng(seed)
    inside = [part.passed["inside"] for part in parts]
    features = np.concatenate([part.features[at] for part, at in zip(parts, inside)])
    right = np.concatenate([part.error_m[at] <= RIGHT_M for part, at in zip(parts, inside)])
    chance = np.concatenate([np.full(at.sum(), 1 / at.sum()) for at in inside])
    blind = rng.random(len(features)) < 0.25
    features[np.ix_(blind, _REGIONS)] = [0.0 if FEATURES[at] == "has_regions" else 1.0 for at in _REGIONS]
    mean, deviation = features.mean(axis=0), features.std(axis=0).clip(1e-3)
    inputs = torch.from_numpy((features - mean) / deviation)
    torch.manual_seed(seed)
    wanted, below = torch.from_numpy(right).float(), np.cumsum(chance) / np.sum(chance)
    layers = [nn.Linear(*pair) for pair in pairwise((len(FEATURES), *HIDDEN, 1))]
    network = nn.Sequential(*[module for layer in layers for module in (layer, nn.ReLU())][:-1])
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-3)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in tracked(range(steps), "train the check", "steps"):
        rows = np.searchsorted(below, rng.random(2048)).clip(max=len(right) - 1)
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
    """By the length of the way: what each check keeps of the right and the wrong vectors, %."""
    rows = []
    for first, last in LENGTHS:
        some = vectors.where((abs(vectors.step) >= first) & (abs(vectors.step) <= last))
        rights = {f"{100 * RIGHT_M:g} cm of the body": some.error_m <= RIGHT_M}
        if last <= SHORT and not np.isnan(some.error_image_px).any():
            rights[f"{RIGHT_IMAGE_PX:g} px of the clip"] = some.error_image_px <= RIGHT_IMAGE_PX
        for measure, right in rights.items() if len(some.step) else ():
            about = {"frames": f"{first} to {last}", "right within": measure, "vectors": len(right)}
            about |= {"wrong": percent(~right)}
            rows += [about | row for row in _compare(network, some, right)]
    return rows


def _compare(network: CheckNetwork, vectors: Vectors, right: np.ndarray) -> list[dict[str, Any]]:
    """A row a check; the last one drops nothing and weighs by the probability."""
    inside = vectors.passed["inside"]
    probability = np.where(inside, network.probability(vectors.features), 0)
    offset = np.where(inside, vectors.features[:, FEATURES.index("offset_most")], np.inf)
    least, most = np.quantile(probability[right], 1 - RIGHT_KEPT), np.quantile(offset[right], RIGHT_KEPT)
    checks = {
        f"forward-backward, {np.expm1(most):.2f} px": offset <= most,
        **{name: vectors.passed[name] for name in CHECKS},
        f"learned, {least:.2f}": probability >= least,
        **{f"learned, {at:.2f}": probability >= at for at in (0.3, 0.5, 0.7)},
    }
    rows = [
        {"check": name, "right kept": percent(kept[right]), "wrong kept": percent(kept[~right]),
         "right of kept": percent(right[kept])}
        for name, kept in checks.items()
    ]  # fmt: skip
    weight = np.where(right, probability, 0).sum() / max(probability.sum(), 1e-9)
    return [*rows, {"check": "learned, weights", "right of kept": round(100 * float(weight), 1)}]


def reliability(network: CheckNetwork, vectors: Vectors) -> list[dict[str, Any]]:
    """By the length of the way, in tenths of the probability: vectors, what was said and what is true, %."""
    inside = vectors.passed["inside"]
    probability = network.probability(vectors.features)
    right, tenth = vectors.error_m <= RIGHT_M, np.minimum((10 * probability).astype(int), 9)
    rows = []
    for first, last in LENGTHS:
        some = inside & (abs(vectors.step) >= first) & (abs(vectors.step) <= last)
        bins = [some & (tenth == bin) for bin in range(10)]
        rows.append({
            "frames": f"{first} to {last}", "vectors": [int(bin.sum()) for bin in bins],
            "said": [percent(probability[bin]) for bin in bins],
            "right": [percent(right[bin]) for bin in bins],
        })  # fmt: skip
    return rows


def percent(values: np.ndarray) -> float:
    return round(100 * float(np.mean(values)), 1) if len(values) else 0.0


def main() -> None:
    parser = make_parser(__doc__)
    for name in ("--learn", "--test"):
        parser.add_argument(name, action="append", default=[], metavar="SET=STORE")
    parser.add_argument("--check", type=Path, required=True, help="written with --learn, else as it is")
    parser.add_argument("--results", type=Path)
    parser.add_argument(
        "--frames", default="0,3,6,12,24,30,36,48,59", help="of clips, to learn from (default %(default)s)"
    )
    parser.add_argument("--test-frames", default="3,20,40,60")
    parser.add_argument("--points", type=int, default=60, help="vectors a person and step to learn from")
    parser.add_argument("--test-points", type=int, default=300)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with shown():
        run(options)


def hops_of(store: Path) -> tuple[int | None, ...]:
    """The longest hops that a store has, and from frame to frame."""
    found = FlowStore(store)
    longer = any(abs(step) > 1 for video in found.videos() for step in found.steps(video))
    return (None, 1) if longer else (1,)


def run(options: argparse.Namespace) -> None:
    rng = np.random.default_rng(options.seed)
    frames, test_frames = (
        [int(f) for f in text.split(",")] for text in (options.frames, options.test_frames)
    )
    learned = []
    for source in options.learn:
        data, _, store = source.partition("=")
        for longest in hops_of(Path(store)):
            clips = RenderedClips(Path(data), Path(store), options.points, STEPS, longest)
            learned += [Vectors.joined(found)] if (found := list(clips.vectors(rng, frames))) else []
    if learned:
        write_text(options.check, as_json(train(learned, options.steps, options.seed)))
    network = CheckNetwork.read(options.check)
    results = {}
    for source in options.test:
        data, _, store = source.partition("=")
        for longest in hops_of(Path(store)):
            clips = RenderedClips(Path(data), Path(store), options.test_points, STEPS, longest)
            vectors = Vectors.joined(list(clips.vectors(rng, test_frames)))
            name = f"{Path(store).stem}, {'from frame to frame' if longest else 'longest hops'}"
            results[name] = {
                "table": table(network, vectors),
                "reliability": reliability(network, vectors),
            }
            for row in (*results[name]["table"], *results[name]["reliability"]):
                print(name, row)
    if options.results:
        about = {"seed": options.seed, "machine": describe_machine(), "commit": current_commit()}
        count = sum(len(part.step) for part in learned)
        write_json(options.results, {**about, "learned from vectors": count, **results})


if __name__ == "__main__":
    main()
