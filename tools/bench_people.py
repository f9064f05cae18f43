"""How time grows with the people in one picture (Direct Dense Pose, figure 4): whole pictures and boxes.

    python tools/bench_people.py                              # 256 px, 1 to 10 people; a few minutes
    python tools/bench_people.py --people 1 10 --rounds 1

One picture with so many people goes through the direct network, through the region network, and as a crop of
each person through an hourglass. Who is where is given: weights are random, and looking for people costs the
same for any number of them. The direct network's masks are ellipses in the boxes, laid over what its heads
compute, so that it looks at as many pixels as with trained ones (`active`, a share of the picture). `network`
is the forward pass; `answer` also reads part, u, v and foreground of every person at every pixel of the crop,
as `slimdp predict` does. One thread, float32; all take turns, and the least of all rounds counts, of
computing time. `slope` is ms for one person more, by least squares, `times_direct` that over the direct
network's. In scenes of the `same_size` each person fills 3.8 % of the picture, in those of the `same_area`
all of them together 23.7 %. Prints one JSON line last.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from measuring import cpu_seconds, make_parser, one_thread, tell
from torch import Tensor

from slimdp.inference.decoding import decide, decode
from slimdp.models import DirectDensePose, HourglassSettings, RegionSettings
from slimdp.models.backbones import BACKBONES
from slimdp.models.direct.network import MASK_STRIDE, SharedFeatures
from slimdp.structures import PoseBatch
from slimdp.surface import PEOPLE

#: People stand in rows of so many, and are twice as high as wide.
IN_A_ROW = 5
#: Share of the picture that a person fills, or all of them together: 23.7 % is the mean of DensePose-COCO
#: (Direct Dense Pose, 3.4).
EACH, TOGETHER = 0.0384, 0.237
#: How people come: of one size, so that more of them fill more of the picture, or the smaller the more.
SCENES = ("same_size", "same_area")
#: The region network as small as a CPU wants it (docs/networks.md).
SMALL_REGION = {
    "layers": 4, "head_channels": 128, "box_features": 256, "anchors_px": [16, 32, 64, 128, 256],
}  # fmt: skip
#: Works by their names: the forward pass, and with reading the answers.
Works = Mapping[str, Callable[[], object]]


class WithMasks(DirectDensePose):
    """The direct network where all people fill an ellipse in their box."""

    boxes: Tensor  # (N, 4) x, y, width, height, px

    def person_masks(self, seen: SharedFeatures, image: Tensor, location: Tensor) -> Tensor:
        computed = super().person_masks(seen, image, location)
        return 0 * computed + 5 * (1 - ellipses(self.boxes, computed.shape[-1], MASK_STRIDE)[:, None])


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[1, 2, 4, 6, 8, 10])
    parser.add_argument("--size", type=int, default=256, help="px of the picture")
    parser.add_argument("--crop", type=int, default=128, help="px of the crops of the hourglass")
    parser.add_argument("--backbone", default="resnet18", help="of the networks of whole pictures")
    parser.add_argument("--channels", type=int, default=64, help="of all networks")
    parser.add_argument("--rounds", type=int, default=5, help="how often each has its turn")
    options = parser.parse_args(arguments)
    one_thread()
    networks = build(options.backbone, options.channels)
    rows = [
        measure(networks, people, scene, options.size, options.crop, options.rounds)
        for scene in SCENES
        for people in options.people
    ]
    for row in rows:
        print(row)
    slopes = {
        f"{scene}_{kind}": {
            name: slope_ms([row for row in rows if row["scene"] == scene], kind, name) for name in networks
        }
        for scene in SCENES
        for kind in ("network", "answer")
    }
    ratios = {
        kind: {name: slope_ratio(slope, of["direct"]) for name, slope in of.items()}
        for kind, of in slopes.items()
    }
    tell({"benchmark": "people", "rows": rows, "slope_ms": slopes, "times_direct": ratios})
    return 0


def build(backbone: str, channels: int) -> dict[str, Any]:
    """The networks by name, in evaluation mode; the hourglass has two stacks."""
    torch.manual_seed(0)
    networks: dict[str, Any] = {"direct": WithMasks(BACKBONES[backbone](32), channels)}
    values = {"backbone": backbone, "channels": channels, **SMALL_REGION}
    networks["region"] = RegionSettings.parse(values).build(PEOPLE)
    networks["hourglass"] = HourglassSettings(stacks=2, features=channels).build(PEOPLE)
    return {name: network.eval().to(memory_format=torch.channels_last) for name, network in networks.items()}


def measure(
    networks: Mapping[str, Any], people: int, scene: str, size: int, crop: int, rounds: int
) -> dict[str, Any]:  # fmt: skip
    """All networks on one picture with so many people."""
    boxes = standing(people, size, EACH if scene == "same_size" else TOGETHER / people)
    networks["direct"].boxes = boxes
    works: dict[str, Works] = {}
    for name, network in networks.items():
        works[name] = (
            on_crops(network, people, crop) if name == "hourglass" else on_picture(network, boxes, size)
        )
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds + 1):
        for name, of_network in works.items():
            for kind, work in of_network.items():
                times.setdefault((kind, name), []).append(1000 * cpu_seconds(work))
    least = {key: round(min(each[1:]), 3) for key, each in times.items()}  # the first round prepares
    row: dict[str, Any] = {"scene": scene, "people": people}
    row["active"] = round(float((ellipses(boxes, size // 4, 4) < 1).any(0).float().mean()), 3)
    for kind in ("network", "answer"):
        row[f"{kind}_ms"] = {name: least[kind, name] for name in works}
    return row


def on_picture(network: Any, boxes: Tensor, size: int) -> Works:
    """What is timed of a network of whole pictures."""
    picture = torch.rand(1, 3, size, size).contiguous(memory_format=torch.channels_last)
    batch = PoseBatch.of_pictures(picture, torch.zeros(len(boxes), dtype=torch.int64), boxes)

    @torch.inference_mode()
    def look() -> Any:
        return network(batch).instances

    @torch.inference_mode()
    def answer() -> None:
        found = look()
        for i in range(len(found.box)):
            maps = found.maps.map(lambda each, i=i: each[i : i + 1])  # type: ignore[misc]
            decide(maps, lambda each: F.interpolate(each, (size, size), mode="bilinear"))

    return {"network": look, "answer": answer}


def on_crops(network: Any, people: int, size: int) -> Works:
    """What is timed of a network of crops, which all go through it together."""
    batch = PoseBatch.of_images(
        torch.rand(people, 3, size, size).contiguous(memory_format=torch.channels_last)
    )

    @torch.inference_mode()
    def look() -> Any:
        return network(batch).best

    @torch.inference_mode()
    def answer() -> None:
        decode(look(), network.spec.stride)

    return {"network": look, "answer": answer}


def standing(people: int, size: int, share: float) -> Tensor:
    """Boxes (N, 4) x, y, width, height, px, of people in rows, each an ellipse of a share of the picture."""
    width = math.sqrt(share * size**2 * 2 / math.pi)
    height = 2 * width
    rows = math.ceil(people / IN_A_ROW)
    places = [
        ((i % IN_A_ROW + 0.5) / IN_A_ROW * size, (i // IN_A_ROW + 0.5) / rows * size) for i in range(people)
    ]
    return torch.tensor([[x - width / 2, y - height / 2, width, height] for x, y in places])


def ellipses(boxes: Tensor, side: int, stride: int) -> Tensor:
    """How far px of maps lie from the middle of each box, (N, side, side): 1 at the ellipse within it."""
    centres = (torch.arange(side) + 0.5) * stride
    x, y = ((centres - boxes[:, axis, None]) / boxes[:, axis + 2, None] * 2 - 1 for axis in (0, 1))
    return y.square()[:, :, None] + x.square()[:, None, :]


def slope_ratio(slope: float, direct: float) -> float | None:
    """A slope by that of the direct network; None where that network took no longer for more people."""
    return round(slope / direct, 2) if direct > 0 else None


def slope_ms(rows: Sequence[Mapping[str, Any]], kind: str, name: str) -> float:
    """What one person more takes, ms, by least squares."""
    people, ms = np.array([(row["people"], row[f"{kind}_ms"][name]) for row in rows], dtype=float).T
    return round(float(np.polyfit(people, ms, 1)[0]), 3)


if __name__ == "__main__":
    sys.exit(main())
