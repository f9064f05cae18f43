from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tools import bench_flow_storage, flow_at_scale
from tools.bench_flow_storage import Storage, layouts, measure, storages
from tools.flow_at_scale import DataSet, extrapolate


@pytest.fixture
def flows() -> np.ndarray:
    """Two smooth fields (2, 2, 300, 280) px."""
    y, x = np.mgrid[0:300, 0:280] / 40
    return np.stack([[np.sin(x + y), 3 * np.cos(x)], [9 * np.sin(y), x * y / 9]]).astype(np.float32)


#: Half a unit of what rounds to 1/32 px, and of what rounds to 1/64 px or, below 16 px, to a half float.
HALF_UNITS_PX = {"store": 1 / 64, "tiles, int16": 1 / 64, "KITTI PNG": 1 / 128, "float16": 1 / 256}


def most_px(name: str) -> float:
    """The largest error of a format, px; 0 where it keeps what it is given."""
    return next((error for kind, error in HALF_UNITS_PX.items() if kind in name), 0.0)


@pytest.mark.parametrize(("kinds", "allowed"), [(storages, most_px), (layouts, lambda _: 1 / 64)])
def test_every_format_gives_back_what_it_was_given(
    tmp_path: Path,
    flows: np.ndarray,
    kinds: Callable[[Path], dict[str, Storage]],
    allowed: Callable[[str], float],
) -> None:
    box = (13, 30, 256, 256)
    crop = flows[1, :, 30:286, 13:269]
    for name, storage in kinds(tmp_path).items():
        storage.write(flows)
        within = partial(np.testing.assert_allclose, rtol=0, atol=allowed(name), err_msg=name)
        for index in (0, 1):
            within(storage.read(index, None), flows[index])
        found = storage.read(1, box)
        assert found.dtype == np.float32
        within(found, crop)


def test_the_benchmark_measures_files_and_errors(tmp_path: Path, flows: np.ndarray) -> None:
    kept = storages(tmp_path)
    found = measure(flows, kept, 2, np.random.default_rng(0))
    formats = found["formats"]
    assert formats["flo"]["bytes"] == 12 + flows[0].nbytes
    assert formats["flo"]["max_error_px"] == 0
    assert 0 < formats["store, zstd"]["max_error_px"] <= 1 / 64
    assert formats["store, zstd"]["bytes"] == round((tmp_path / "zstd" / "flow.h5").stat().st_size / 2)
    assert all(row["crop_ms"] > 0 and row["write_ms"] > 0 for row in formats.values())
    share = formats["store, zstd"]["crop_ms"] / formats["flo"]["crop_ms"]
    assert found["crop_as_share_of"]["store, zstd"]["flo"] == pytest.approx(share, abs=1e-3)


SETS = [
    {
        "estimator": "dis", "width": 1280, "height": 720,
        "formats": {"store, zstd": {"bytes": b}, "flo": {"bytes": 100}, "HDF5, float16, gzip": {"bytes": 50}},
    }
    for b in (10, 20)
]  # fmt: skip


def speed(estimator: str, fields_a_second: float, width: int = 1280, height: int = 720) -> dict[str, Any]:
    about = {"estimator": estimator, "device": "cpu", "processes": 1, "width": width, "height": height}
    return {**about, "fields_a_second": fields_a_second}


def test_a_data_set_scales_by_fields_and_pixels() -> None:
    speeds = [
        speed("dis medium", 2.0),
        speed("dis medium", 900.0, 64, 64),
        speed("raft_small 12", 1, 640, 360),
    ]
    dis, raft = extrapolate(DataSet("a", 7200), SETS, speeds)
    assert (dis["estimator"], dis["fields_a_second"], dis["hours"]) == ("dis medium", 2.0, 1.0)
    assert dis["bytes"] == {"store, zstd": 7200 * 15, "flo": 7200 * 100, "HDF5, float16, gzip": 7200 * 50}
    assert (raft["fields_a_second"], raft["hours"]) == (0.25, 8.0)
    assert set(raft["bytes"].values()) == {None}
    (small,) = extrapolate(DataSet("b", 7200, 640, 720), SETS, speeds[:1])
    assert (small["fields_a_second"], small["hours"]) == (4.0, 0.5)
    assert small["bytes"]["store, zstd"] == 7200 * 7.5


def test_the_table_ends_with_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name, content in (("storage", {"sets": SETS}), ("estimators", {"speeds": [speed("dis fast", 8)]})):
        (tmp_path / name).write_text("a line before\n" + json.dumps(content) + "\n")
    monkeypatch.setattr(
        "sys.argv", ["flow_at_scale", str(tmp_path / "storage"), str(tmp_path / "estimators")]
    )
    assert flow_at_scale.main() == 0
    *table, last = capsys.readouterr().out.strip().splitlines()
    assert [row["data_set"] for row in json.loads(last)["rows"]] == ["DensePose-Track", "MPII videos"]
    assert len(table) == 4
    assert {line.count("|") for line in table} == {11}
    (tmp_path / "storage").write_text("no JSON")
    with pytest.raises(SystemExit, match="is no output of a benchmark"):
        flow_at_scale.main()


@pytest.mark.slow
def test_the_quick_benchmark_on_real_video(
    samples: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """vtest.avi at least 20 times smaller than float32, its error within half a unit."""
    video = str(samples / "video" / "vtest.avi")
    monkeypatch.setattr("sys.argv", ["bench_flow_storage", video, "--quick"])
    assert bench_flow_storage.main() == 0
    (found,) = json.loads(capsys.readouterr().out.strip().splitlines()[-1])["sets"]
    assert found["formats"]["store, zstd"]["times_smaller"] >= 20
    assert found["formats"]["store, zstd"]["max_error_px"] <= 1 / 64 + 1e-4
