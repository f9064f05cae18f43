"""Exact flow has no error, and flow that is off is off by that."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache import FlowStore, FlowWriter
from flow_cache.codec import MAX_PX
from slimdp.synthetic.dataset import synthesize
from tests.small_sets import small_plan
from tools.flow_people_table import chairs_error, compare, photometric, true_flow


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan = small_plan(train_clips=1, frames=5, labelled=(2,), size=96)
    return synthesize(tmp_path_factory.mktemp("rendered") / "set", plan, seed=1, quiet=True)


def test_errors_are_those_that_were_made(rendered: Path, tmp_path: Path) -> None:
    exact = FlowStore(rendered / "flow_exact")
    (video,) = exact.videos()
    with FlowWriter(tmp_path / "off.h5") as writer:
        writer.add_video(exact.record(video), (1, 4))
        for step in (1, 4):
            flow, _ = true_flow(rendered, exact, video, 0, step)
            off = np.nan_to_num(flow + np.array([3, 4])[:, None, None]).clip(-MAX_PX, MAX_PX)
            writer.write(video, 0, step, off.astype(np.float32))
    rows = compare(rendered, {"off": FlowStore(tmp_path / "off.h5")})
    assert {(row["frames"], row["where"]) for row in rows} >= {(1, "people"), (1, "limbs"), (4, "people")}
    for row in rows:
        if row["pixels"] and row["where"] != "occluded":
            assert row["median_px"] == pytest.approx(5, abs=0.05)
            assert row["95_px"] == pytest.approx(5, abs=0.05)


class Stands:
    """Says that all pixels move by so much."""

    def __init__(self, right: float) -> None:
        self._right = right

    def estimate(self, frames: np.ndarray, pairs: list) -> np.ndarray:
        flow = np.zeros((len(pairs), 2, *frames.shape[1:3]), np.float32)
        flow[:, 0] = self._right
        return flow


def test_pairs_and_videos_are_measured(tmp_path: Path) -> None:
    noise = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8), (0, 0), 2
    )
    for end in (0, 1):
        cv2.imwrite(str(tmp_path / f"a_{end}.png"), noise)
    with open(tmp_path / "a.flo", "wb") as file:
        np.float32([202021.25]).tofile(file)
        np.int32([96, 64]).tofile(file)
        np.full((64, 96, 2), (1, 0), np.float32).tofile(file)
    assert chairs_error(Stands(3), tmp_path) == 2.0
    (tmp_path / "video").mkdir()
    for index in range(8):
        cv2.imwrite(str(tmp_path / "video" / f"{index}.png"), np.roll(noise, 2 * index, axis=1))
    right, wrong = (photometric(Stands(shift), tmp_path / "video")["1"] for shift in (2, -2))
    assert right < wrong / 2
