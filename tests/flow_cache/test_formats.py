from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from flow_cache.errors import FlowCacheError
from flow_cache.formats import FORMATS, read_flo, read_kitti, write_flo, write_kitti

FLOWS = npst.arrays(
    np.float32,
    st.tuples(st.just(2), st.integers(1, 5), st.integers(1, 7)),
    elements=st.floats(-511, 511, width=32),
)


@given(flow=FLOWS, unknown=st.booleans())
def test_flo_keeps_every_bit(
    flow: np.ndarray, unknown: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("flo") / "a.flo"
    flow = flow.copy()
    if unknown:
        flow[:, 0, 0] = np.nan
    write_flo(path, flow)
    np.testing.assert_array_equal(read_flo(path), flow)


@given(flow=FLOWS)
@example(flow=np.full((2, 2, 2), 1.992159, np.float32))
def test_kitti_keeps_a_128th_of_a_pixel(flow: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("kitti") / "a.png"
    flow = flow.copy()
    flow[:, -1, -1] = np.nan
    write_kitti(path, flow)
    again = read_kitti(path)
    assert again.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(again), np.isnan(flow))
    assert np.nanmax(np.abs(again - flow), initial=0) <= 1 / 128


def test_a_flo_file_made_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "a.flo"
    path.write_bytes(struct.pack("<4sii", b"PIEH", 2, 1) + struct.pack("<4f", 1.5, -2.0, 1e10, 0.0))
    np.testing.assert_array_equal(read_flo(path), [[[1.5, np.nan]], [[-2.0, np.nan]]])


def test_a_kitti_file_made_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    # KITTI: red is 64 u + 2^15, green 64 v + 2^15, blue 1 where it is known; OpenCV writes blue first.
    cv2.imwrite(str(path), np.array([[[1, 2**15 - 64, 2**15 + 96], [0, 5, 7]]], np.uint16))
    np.testing.assert_array_equal(read_kitti(path), [[[1.5, np.nan]], [[-1.0, np.nan]]])


def test_real_flow_reads(samples: Path) -> None:
    flow = read_flo(samples / "flow" / "chairs_0.flo")
    assert flow.shape == (2, 384, 512)
    assert np.isfinite(flow).all()


def test_what_is_no_flow_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.flo"
    path.write_bytes(b"PNG?12345678")
    with pytest.raises(FlowCacheError, match=r"a\.flo is no \.flo file"):
        read_flo(path)
    write_flo(path, np.zeros((2, 3, 4), np.float32))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FlowCacheError, match="has 107 bytes; its 4 x 3 px need 108"):
        read_flo(path)
    picture = tmp_path / "a.png"
    for content in (b"", b"text"):
        picture.write_bytes(content)
        with pytest.raises(FlowCacheError, match=r"is (no picture|cut off)"):
            read_kitti(picture)
    cv2.imwrite(str(picture), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(FlowCacheError, match=r"uint8 \(2, 2, 3\); wanted a 16-bit PNG"):
        read_kitti(picture)
    with pytest.raises(FlowCacheError, match="up to 600 px; KITTI's format ends at 512 px"):
        write_kitti(tmp_path / "far.png", np.full((2, 2, 2), 600.0))
    assert not (tmp_path / "far.png").exists()
    assert set(FORMATS) == {"flo", "kitti"}
