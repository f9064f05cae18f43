"""How many training crops a second one core prepares, from JPEG files to batches, and where the time goes.

    python tools/bench_input.py                                  # 640 x 480 pictures made on the spot
    python tools/bench_input.py --annotations people.json --images DIR

One process and one thread, as in one worker of a `DataLoader`. Every crop opens a picture of its own (as many
pictures as crops, and no memory for decoded ones), so that each is decoded once a crop; with `--annotations`
people of one picture come in the order of the file, but the picture is opened again for each. A crop has all
random changes, its points, coarse masks, keypoints for heat maps and keypoints as surface points. The best of
`--rounds` passes counts, in processor seconds of this process, so that a busy machine disturbs little; the
wall clock is told beside it. Prints one JSON line last.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from slimdp.config import AugmentSettings, CropSettings
from slimdp.data import AnnotationSet, PoseDataset, WeightedDraws, collate, read_annotations
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface.symmetry import UvSymmetry

#: Crops a second a core that training on a fast GPU wants, at 256 px.
WANTED = 160


def main() -> int:
    """Parse, measure, print; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--crops", type=int, default=256, help="of one pass")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=256, help="of a crop, px")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--annotations", type=Path, help="people to use; none: pictures are made")
    parser.add_argument("--images", type=Path, help="the folder of their pictures")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if options.annotations is None:
            people = make_people(Path(folder), options.crops)
        else:
            people = read_annotations(options.annotations, options.images or options.annotations.parent)
        print(json.dumps(measure(people, options.crops, options.batch, options.size, options.rounds)))
    return 0


def make_people(folder: Path, count: int, width: int = 640, height: int = 480) -> AnnotationSet:
    """As many pictures with a labelled person as asked for, and a second person in each.

    The pictures are noise whose amplitude falls with frequency as in photographs; at the quality of 85 they
    take about 160 KB, as pictures of COCO do.
    """
    rng = np.random.default_rng(0)
    images, people = [], []
    for number in range(count):
        file = folder / f"{number:06d}.jpg"
        cv2.imwrite(str(file), _photograph(width, height, rng), [cv2.IMWRITE_JPEG_QUALITY, 85])
        image = ImageRecord(number, file, file.name, width, height)
        images.append(image)
        people += [_person(image, 2 * number + k, rng, labelled=k == 0) for k in range(2)]
    return AnnotationSet(tuple(images), tuple(people))


def _photograph(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """(height, width, 3) uint8: noise with an amplitude of 1 / frequency."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]).clip(1 / width)
    channels = []
    for _ in range(3):
        spectrum = np.fft.rfft2(rng.normal(size=(height, width))) / frequency
        noise = np.fft.irfft2(spectrum, (height, width))
        channels.append((noise - noise.mean()) / noise.std())
    grey, tint_a, tint_b = channels  # colours of photographs go together
    picture = np.stack([grey + 0.3 * tint_a, grey, grey + 0.3 * tint_b], axis=2)
    return (127 + 55 * picture).clip(0, 255).astype(np.uint8)


def _person(image: ImageRecord, number: int, rng: np.random.Generator, labelled: bool) -> PersonAnnotation:
    """A standing person of 150 to 460 px with 100 points, 14 coarse parts and COCO's keypoints."""
    tall = rng.uniform(150, 460)
    box = np.array(
        [rng.uniform(0, image.width - tall / 2), rng.uniform(0, image.height - tall), tall / 2, tall]
    )
    count = 100 if labelled else 0
    coarse = cv2.resize(
        rng.integers(0, 15, (8, 8), dtype=np.uint8), (256, 256), interpolation=cv2.INTER_NEAREST
    )
    return PersonAnnotation(
        id=number, image=image, box=box,
        points=box[:2] + rng.random((count, 2)) * box[2:],
        part=rng.integers(1, 25, count), uv=rng.random((count, 2), dtype=np.float32),
        source=np.zeros(count, dtype=np.int64), step=np.zeros(count, dtype=np.int64),
        coarse=coarse if labelled else None,
    )  # fmt: skip


def measure(people: AnnotationSet, crops: int, batch: int, size: int, rounds: int) -> dict[str, object]:
    dataset = PoseDataset(people, CropSettings(size), AugmentSettings(), UvSymmetry(), seed=0, cache_mb=0)
    draws = list(WeightedDraws(dataset.sizes, [1.0], crops, seed=0))
    best = min(_seconds(lambda: _batches(dataset, draws, batch)) for _ in range(rounds))
    return {"crops_per_second": crops / best}


def _batches(dataset, draws, batch):
    for first in range(0, len(draws), batch):
        collate([dataset[draw] for draw in draws[first : first + batch]])


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(main())
