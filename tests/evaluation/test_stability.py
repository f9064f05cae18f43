"""On rendered clips, whose flow and surface points are known at every pixel."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from flow_cache import FlowChain, FlowPair, FlowStore
from slimdp.__main__ import main
from slimdp.config import CropSettings
from slimdp.data import AnnotationSet, crop_affine, read_annotations, write_annotations
from slimdp.evaluation import PredictionFile, PredictionWriter, StabilityCount, measure_stability
from slimdp.evaluation.stability import measure_pair
from slimdp.geometry import apply_affine, invert_affine
from slimdp.motion import propagate
from slimdp.structures import DensePoseInstance, PersonAnnotation
from slimdp.surface.body import BodySurface
from slimdp.surface.load import load_surface
from slimdp.synthetic.dataset import synthesize
from tests.small_sets import small_plan

CROP = 192


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AnnotationSet]:
    """A rendered clip, and its people in three neighbouring frames."""
    folder = synthesize(
        tmp_path_factory.mktemp("stability") / "set",
        small_plan(train_clips=1, labelled=(1,), size=192),
        4,
        quiet=True,
    )
    labelled = read_annotations(folder / "clips_train.json", folder, read_masks=True)
    with FlowStore(folder / "flow_exact") as store:
        propagated, _ = propagate(labelled, store, [-1, 1])
    write_annotations(folder / "propagated.json", propagated.images, propagated.people)
    return folder, propagated


def perfect(folder: Path, person: PersonAnnotation) -> DensePoseInstance:
    name = person.image.file_name.replace("images/", "iuv/", 1).replace(".jpg", ".png")
    maps = cv2.imread(str(folder / name))[..., ::-1]
    affine = crop_affine(person.box, CropSettings(size=CROP))
    y, x = np.mgrid[:CROP, :CROP]
    places = apply_affine(invert_affine(affine), np.stack([x.ravel(), y.ravel()], axis=1))
    column, row = np.floor(places + 0.5).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < maps.shape[1]) & (row < maps.shape[0])
    crop = (maps[row * inside, column * inside] * inside[:, None]).T.reshape(3, CROP, CROP)
    return DensePoseInstance(
        person.id, person.image.id, person.box, 1.0, affine,
        part=np.maximum(crop[0], 1), uv=(crop[1:] / 255).astype(np.float16), foreground=crop[0] > 0,
    )  # fmt: skip


def jittered(prediction: DensePoseInstance, rng: np.random.Generator) -> DensePoseInstance:
    shift = rng.choice([-0.2, 0.2], (2, 1, 1))
    return dataclasses.replace(prediction, uv=np.clip(prediction.uv + shift, 0, 1).astype(np.float16))


def test_truth_is_stable_and_jitter_is_not(clip: tuple[Path, AnnotationSet], tmp_path: Path) -> None:
    folder, people = clip
    rng, found = np.random.default_rng(0), {}
    for kind in ("perfect", "jitter"):
        with PredictionWriter(tmp_path / f"{kind}.h5", CROP) as writer:
            for person in people.people:
                prediction = perfect(folder, person)
                writer.write(prediction if kind == "perfect" else jittered(prediction, rng))
        with FlowStore(folder / "flow_exact") as store, PredictionFile(tmp_path / f"{kind}.h5") as file:
            (found[kind],) = measure_stability(
                file, people, store, load_surface("open"), threshold_px=1
            ).values()
            with pytest.raises(ValueError, match="predicted in two frames 3 apart"):
                measure_stability(file, people, store, load_surface("open"), step=3)
    told = {kind: count.in_percent() for kind, count in found.items()}
    assert found["perfect"].propagated == found["jitter"].propagated > 500
    assert found["perfect"].lost == found["jitter"].lost
    # Pixels are whole, and at the edges of limbs the check lets some pass.
    assert (told["perfect"]["moved"] or 0) < 4
    assert (told["perfect"]["lost"] or 0) < 6
    assert (told["jitter"]["moved"] or 0) > 30


def test_the_command(clip: tuple[Path, AnnotationSet], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder, people = clip
    with PredictionWriter(tmp_path / "p.h5", CROP) as writer:
        for person in people.people:
            writer.write(perfect(folder, person))
    given = ["stability", "--predictions", f"{tmp_path / 'p.h5'}", "--flow", f"{folder / 'flow_exact'}"]
    given += [
        "--threshold-px",
        "1",
        "--annotations",
        f"{folder / 'propagated.json'}",
        "--out",
        f"{tmp_path / 's.json'}",
    ]
    assert main(given) == 0
    assert "train_00000" in capsys.readouterr().out
    scores = json.loads((tmp_path / "s.json").read_text())
    assert list(scores) == ["train_00000", "all"]
    assert scores["all"]["moved"] < 4
    with pytest.raises(SystemExit):
        main([*given, "--step", "0"])


def test_pixels_are_counted_by_hand(flat_surface: BodySurface, perfect_pair: Any) -> None:
    """A still picture: nothing moves but what the second prediction says of it."""
    _, first = perfect_pair()
    still = FlowChain((FlowPair(np.zeros((2, 60, 80), np.float32), np.zeros((2, 60, 80), np.float32)),))
    same = measure_pair(first, first, still, flat_surface)
    assert (same.pairs, same.lost, same.moved) == (1, 0, 0)
    assert same.propagated > 1000
    u = first.uv[0].astype(np.float32)
    shifted = np.stack([np.where(u < 0.5, u + 0.2, u - 0.2), first.uv[1]]).astype(np.float16)  # 10 cm
    second = dataclasses.replace(first, uv=shifted)
    assert measure_pair(first, second, still, flat_surface, jump_m=0.09).moved == same.propagated
    assert measure_pair(first, second, still, flat_surface, jump_m=0.11).moved == 0
    # Away from the second crop nothing is known.
    away = dataclasses.replace(first, crop_from_image=first.crop_from_image + [[0, 0, 1000], [0, 0, 0]])
    assert measure_pair(first, away, still, flat_surface).propagated == 0
    nobody = dataclasses.replace(first, foreground=np.zeros_like(first.foreground))
    lost = measure_pair(first, nobody, still, flat_surface)
    assert (lost.propagated, lost.lost, lost.moved) == (same.propagated, same.propagated, 0)
    assert lost.in_percent()["moved"] is None
    assert measure_pair(nobody, first, still, flat_surface) == StabilityCount(1, 0, 0, 0)


def test_counts_add_up() -> None:
    total = StabilityCount(1, 10, 2, 4) + StabilityCount(2, 10, 0, 5)
    assert total.in_percent() == {"moved": 50.0, "lost": 10.0, "pairs": 3, "pixels": 20}
