"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import settings

from slimdp.config import CropSettings
from slimdp.data.crops import crop_affine
from slimdp.geometry import apply_affine
from slimdp.structures import DensePoseInstance, ImageRecord, PersonAnnotation
from slimdp.surface import PEOPLE
from slimdp.surface.body import BodySurface
from tests.forked import fork_workers
from tests.made_up_cluster import make_cluster
from tests.threads import one_thread_here

# How long an example takes says more of the machine than of the code. Other examples come in every run, so
# few of each do; `--hypothesis-profile=thorough` tries many.
settings.register_profile("any machine", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real samples; tests that need it are skipped where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SLIMDP_SAMPLES", default))
    if not folder.is_dir():
        pytest.skip(f"no real samples at {folder}; set SLIMDP_SAMPLES to their folder")
    return folder


@pytest.fixture(autouse=True, scope="session")
def few_threads() -> None:
    """A plugin may have loaded a library before it was told (`conftest.py` beside this folder)."""
    threads = int(os.environ["SLIMDP_TEST_THREADS"])
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For what must equal, bit for bit, what a forked process or a worker does: these have one thread."""
    with one_thread_here():
        yield


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cluster of this machine alone; the folder of its commands."""
    make_cluster(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]))
    return tmp_path / "bin"


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools fork their workers in the test."""
    fork_workers(monkeypatch)


#: Side of a part of the flat surface, metres.
FLAT_SIDE_M = 0.5


@pytest.fixture(scope="session")
def flat_surface() -> BodySurface:
    """24 squares of 0.5 m in a plane, 1 m apart, (u, v) along their sides: Pythagoras knows the distances."""
    grid = np.array([(u, v) for v in (0, 0.5, 1) for u in (0, 0.5, 1)])
    cells = [(a, a + 1, a + 4, a + 3) for a in (0, 1, 3, 4)]
    triangles = np.array([t for a, b, c, d in cells for t in ((a, b, c), (a, c, d))])
    vertices = [
        np.column_stack([p + FLAT_SIDE_M * grid[:, 0], FLAT_SIDE_M * grid[:, 1]])
        for p in range(len(PEOPLE.parts))
    ]
    flat = np.concatenate(vertices)
    # Pairs a > b in the order that BodySurface reads: (1, 0), (2, 0), (2, 1), ...
    distances = [np.hypot(*(flat[a] - flat[:a]).T) for a in range(1, len(flat))]
    return BodySurface(
        name="flat",
        vertices=np.column_stack([flat, np.zeros(len(flat))]),
        faces=np.concatenate([triangles + len(grid) * p for p in range(len(PEOPLE.parts))]),
        face_part=np.repeat(np.arange(1, len(PEOPLE.parts) + 1), len(triangles)),
        face_uv=np.tile(grid[triangles], (len(PEOPLE.parts), 1, 1)).astype(np.float32),
        distances=np.concatenate(distances),
        layout=PEOPLE,
    )


@pytest.fixture(scope="session")
def perfect_pair() -> Callable[..., tuple[PersonAnnotation, DensePoseInstance]]:
    """Makes a person with points in every part, and a prediction that answers each of them exactly."""

    def make(
        annotation_id: int = 1, image_id: int = 1, points: int = 60, size: int = 64, file: str = "a.png"
    ) -> tuple[PersonAnnotation, DensePoseInstance]:
        rng = np.random.default_rng(annotation_id)
        box = np.array([12.0, 7.0, 50.0, 40.0])
        affine = crop_affine(box, CropSettings(size=size))
        row, column = np.mgrid[0:size, 0:size]
        part = (1 + column * len(PEOPLE.parts) // size).astype(np.uint8)
        uv = np.stack([column * len(PEOPLE.parts) / size % 1, row / (size - 1)]).astype(np.float16)
        person_points = box[:2] + rng.uniform(0, 1, (points, 2)) * (box[2:] - 1)
        x, y = np.floor(apply_affine(affine, person_points) + 0.5).astype(int).T
        image = ImageRecord(image_id, Path(file), Path(file).name, width=80, height=60)
        zeros = np.zeros(points, dtype=np.int64)
        person = PersonAnnotation(
            annotation_id, image, box, person_points, part[y, x].astype(np.int64),
            uv[:, y, x].T.astype(np.float32), source=zeros, step=zeros,
        )  # fmt: skip
        foreground = np.ones((size, size), dtype=bool)
        return person, DensePoseInstance(annotation_id, image_id, box, 1.0, affine, part, uv, foreground)

    return make
