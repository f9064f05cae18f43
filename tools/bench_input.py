"""How many training crops a second one core prepares, from JPEG files to batches, and where the time goes.

    python tools/bench_input.py                                  # 640 x 480 pictures made on the spot
    python tools/bench_input.py --annotations people.json --images DIR

One process and one thread, as in one worker of a `DataLoader`. Decoded pictures are not kept, so that every
crop decodes one; those made on the spot are all different, and have the size of COCO's on disk. A crop goes
through all random changes, patches included, and carries points, coarse masks, keypoints for heat maps and
keypoints as surface points. Seconds are the processor's, so that a busy machine disturbs them little; the
best of `--rounds` passes counts, and the clock of the wall is told beside it. Prints one JSON line last.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
from measuring import make_parser, one_thread, tell

from flow_cache.images import read_image
from slimdp.config import AugmentSettings, CropSettings
from slimdp.data import (
    AnnotationSet,
    Augmentation,
    KeypointAnchors,
    PoseDataset,
    SampleIndex,
    WeightedSampler,
    change_colours,
    coarse_target,
    collate,
    crop_affine,
    crop_image,
    keypoint_union,
    read_annotations,
)
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface import COCO_KEYPOINTS, UvSymmetry

#: Crops of 256 px a second and core that a fast GPU asks of its workers.
WANTED = 160
QUALITY = 85  # of the JPEG files: 160 KB each, the mean of COCO's
CHANGES = AugmentSettings(occlusion=0.5)


def main() -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--crops", type=int, default=256, help="of one pass")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=256, help="of a crop, px")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--annotations", type=Path, help="people to use; none: pictures are made")
    parser.add_argument("--images", type=Path, help="the folder of their pictures")
    options = parser.parse_args()
    one_thread()
    with tempfile.TemporaryDirectory() as folder:
        if options.annotations is None:
            people = make_people(Path(folder), options.crops)
        else:
            people = read_annotations(options.annotations, options.images or options.annotations.parent)
        speed = measure(people, options.crops, options.batch, options.size, options.rounds)
    for stage, milliseconds in speed["ms_a_crop"].items():
        print(f"{milliseconds:6.2f} ms  {stage}")
    tell(speed)
    return 0


def measure(people: AnnotationSet, crops: int, batch: int, size: int, rounds: int) -> dict:
    """Crops a second, and the milliseconds of a crop by stage."""
    names = keypoint_union(people.people)
    rng = np.random.default_rng(0)
    anchors = KeypointAnchors(names, rng.integers(1, 25, len(names)), rng.random((len(names), 2), np.float32))
    dataset = PoseDataset(
        people,
        CropSettings(size=size),
        CHANGES,
        UvSymmetry(),
        seed=0,
        cache_mb=0,
        keypoints=names,
        anchors=anchors,
        stride=4,
    )
    draws = list(WeightedSampler(dataset.sizes, [1.0], crops, seed=0))
    samples = [dataset[draw] for draw in draws[:batch]]

    def prepare() -> None:
        for first in range(0, len(draws), batch):
            collate([dataset[draw] for draw in draws[first : first + batch]])

    seconds, wall = min(_seconds(prepare) for _ in range(rounds))
    shares = {
        name: min(_seconds(work)[0] for _ in range(rounds)) for name, work in _stages(dataset, draws, size)
    }
    shares["batch"] = (
        min(_seconds(lambda: collate(samples))[0] for _ in range(rounds)) / len(samples) * len(draws)
    )
    shares["the rest: points, keypoints, patches, random numbers"] = max(seconds - sum(shares.values()), 0.0)
    return {
        "crops_a_second": round(len(draws) / seconds, 1),
        "wanted": WANTED,
        "crops_a_second_by_the_wall": round(len(draws) / wall, 1),
        "size": size,
        "pictures": len({dataset.person(draw.person).image.file for draw in draws}),
        "kb_a_picture": round(np.mean([p.file.stat().st_size for p in people.images]) / 1000, 1),
        "kb_a_crop": round(collate(samples).nbytes / len(samples) / 1000, 1),
        "ms_a_crop": {name: round(1000 * value / len(draws), 3) for name, value in shares.items()},
    }


def _stages(
    dataset: PoseDataset, draws: list[SampleIndex], size: int
) -> Iterable[tuple[str, Callable[[], object]]]:
    """The parts of the work that are functions of their own, for all draws."""
    people = [dataset.person(draw.person) for draw in draws]
    affines = [dataset[draw].crop_from_image for draw in draws]
    plain = [crop_affine(person.box, CropSettings(size=size)) for person in people]
    images = [read_image(person.image.file) for person in people[:64]]
    crop = crop_image(images[0], plain[0], size)
    bright = Augmentation(offset=(0.1, 0.1, 0.1))
    yield "opening JPEG files", lambda: [read_image(person.image.file) for person in people]
    yield (
        "cutting crops",
        lambda: [crop_image(images[i % 64], affine, size) for i, affine in enumerate(affines)],
    )
    yield "colours", lambda: [change_colours(crop, bright) for _ in people]
    yield (
        "coarse masks",
        lambda: [coarse_target(p, a, size, 4, p.box[None] + 30) for p, a in zip(people, affines)],
    )


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the processor, and of the wall."""
    start, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - start, time.perf_counter() - wall


def make_people(folder: Path, count: int, width: int = 640, height: int = 480) -> AnnotationSet:
    """Pictures of noise, as many as asked for, with a labelled person and another one in each."""
    rng = np.random.default_rng(0)
    images, people = [], []
    for number in range(count):
        file = folder / f"{number:06d}.jpg"
        cv2.imwrite(str(file), _photograph(width, height, rng), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        image = ImageRecord(number, file, file.name, width, height)
        images.append(image)
        people += [_person(image, 2 * number + k, rng, labelled=k == 0) for k in range(2)]
    return AnnotationSet(tuple(images), tuple(people))


def _photograph(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """(height, width, 3) uint8: noise whose amplitude falls with frequency, as that of photographs does."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]).clip(1 / width)
    channels = []
    for _ in range(3):
        noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) / frequency, (height, width))
        channels.append((noise - noise.mean()) / noise.std())
    grey, tint_a, tint_b = channels  # colours of photographs go together
    image = np.stack([grey + 0.3 * tint_a, grey, grey + 0.3 * tint_b], axis=2)
    return (127 + 55 * image).clip(0, 255).astype(np.uint8)


def _person(image: ImageRecord, number: int, rng: np.random.Generator, labelled: bool) -> PersonAnnotation:
    """A standing person of 150 to 460 px with 100 points, 14 coarse parts and COCO's keypoints."""
    tall = rng.uniform(150, 460)
    corner = rng.uniform(0, (image.width - tall / 2, image.height - tall))
    box = np.array([*corner, tall / 2, tall])
    count = 100 if labelled else 0
    blocks = rng.integers(0, 15, (8, 8), dtype=np.uint8).repeat(32, axis=0).repeat(32, axis=1)
    keypoints = box[:2] + rng.random((len(COCO_KEYPOINTS), 2)) * box[2:]
    return PersonAnnotation(
        id=number, image=image, box=box,
        points=box[:2] + rng.random((count, 2)) * box[2:],
        part=rng.integers(1, 25, count), uv=rng.random((count, 2), dtype=np.float32),
        source=np.zeros(count, dtype=np.int64), step=np.zeros(count, dtype=np.int64),
        coarse=blocks if labelled else None,
        keypoints=np.column_stack([keypoints, np.full(len(keypoints), 2)]) if labelled else None,
        keypoint_names=COCO_KEYPOINTS,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
