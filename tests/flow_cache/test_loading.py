"""One `FlowStore` object read by the workers of a data loader, and by threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from flow_cache.schema import VideoRecord
from flow_cache.store import FlowStore
from flow_cache.writer import FlowWriter

FRAMES = 24
RECORD = VideoRecord("a", 90, 70, tuple(f"{i:06d}" for i in range(FRAMES)), "a.mp4", "1", "dis", "{}", "2")


def some_flow(frame: int) -> np.ndarray:
    return (np.random.default_rng(frame).integers(-900, 900, (2, 70, 90)) / 32).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of two files, with a video of equal flow in each."""
    for name in ("a", "b"):
        with FlowWriter(tmp_path / f"{name}.h5") as writer:
            record = VideoRecord(**{**vars(RECORD), "name": name})
            writer.add_video(record, (1,))
            for frame in range(FRAMES - 1):
                writer.write(name, frame, 1, some_flow(frame))
    return tmp_path


class Crops(Dataset):
    """A crop of each field, whose place follows from the field."""

    def __init__(self, store: FlowStore) -> None:
        self.store = store

    def __len__(self) -> int:
        return 2 * (FRAMES - 1)

    def __getitem__(self, index: int) -> torch.Tensor:
        frame = index // 2
        field = self.store.read("ab"[index % 2], frame, 1, (frame, 3, 40, 50))
        assert field.origin == (frame, 3)
        return torch.from_numpy(field.displacement)


# A spawned worker takes seconds, for it imports torch: one of them does.
@pytest.mark.parametrize(
    ("start", "workers", "persistent"), [("fork", 2, False), ("fork", 2, True), ("spawn", 1, True)]
)
def test_a_data_loader_reads_the_same_in_every_epoch(
    folder: Path, start: str, workers: int, persistent: bool
) -> None:
    store = FlowStore(folder)
    crops = Crops(store)
    expected = torch.stack([crops[index] for index in range(len(crops))])  # open in this process too
    loader = DataLoader(
        crops,
        batch_size=8,
        num_workers=workers,
        multiprocessing_context=start,
        persistent_workers=persistent,
    )
    for _ in range(3):
        assert torch.equal(torch.cat(list(loader)), expected)
    del loader
    store.close()
    for name in "ab":
        FlowWriter(folder / f"{name}.h5").close()  # nobody holds a file any more


def test_threads_read_through_one_store(folder: Path) -> None:
    def read(store: FlowStore, gate: threading.Barrier, seed: int) -> None:
        gate.wait()  # the first reads, which open the files, come at once
        for frame in np.random.default_rng(seed).integers(0, FRAMES - 1, 40).tolist():
            field = store.read("ab"[frame % 2], frame, 1)
            np.testing.assert_array_equal(field.displacement, some_flow(frame))

    for _ in range(5):
        store, gate = FlowStore(folder), threading.Barrier(4)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(partial(read, store, gate), range(4)))
        store.close()
        for name in "ab":
            FlowWriter(folder / f"{name}.h5").close()
