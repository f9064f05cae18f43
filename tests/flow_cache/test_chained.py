"""Flow over many frames, made of flow over few."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flow_cache import FlowCacheError, FlowStore, FlowWriter, MissingFlowError, VideoRecord, chain_flow
from flow_cache.__main__ import main
from flow_cache.chain import inside_frame, sample_flow
from flow_cache.chained import chained_field

HEIGHT, WIDTH, FRAMES = 48, 96, 8
RECORD = VideoRecord(
    "walk", WIDTH, HEIGHT, tuple(f"{i:06d}.png" for i in range(FRAMES)), "walk", "hash", "dis", "{}", "s"
)
Fields = dict[tuple[int, int], np.ndarray]


@pytest.fixture
def smooth(rng: np.random.Generator) -> Fields:
    """Flow of steps 1 to 2 both ways that varies over the frame and in time."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / 30
    fields = {}
    for step in (-2, -1, 1, 2):
        for frame in range(max(0, -step), min(FRAMES, FRAMES - step)):
            a, b, c = rng.uniform(-1, 1, 3)
            fields[frame, step] = step * np.stack([2 + np.sin(x + a) + b * y, c + np.cos(y + x)])
    return fields


def store_of(path: Path, fields: Fields, record: VideoRecord = RECORD) -> FlowStore:
    with FlowWriter(path) as writer:
        writer.add_video(record, tuple(sorted({step for _, step in fields})), fields)
        for (frame, step), flow in fields.items():
            writer.write(record.name, frame, step, flow)
    return FlowStore(path)


def test_a_constant_motion_adds_up(tmp_path: Path) -> None:
    """By hand: 3 px right and 1 px up a frame make 12 right and 4 up over four, where that stays inside."""
    shift = np.array([3.0, -1.0])[:, None, None] * np.ones((2, HEIGHT, WIDTH))
    fields = {(f, s): s * shift for s in (-1, 1) for f in range(FRAMES) if 0 <= f + s < FRAMES}
    chain_flow(store_of(tmp_path / "short.h5", fields), tmp_path / "long.h5", (-4, 4))
    with FlowStore(tmp_path / "long.h5") as store:
        assert store.steps("walk") == (-4, 4)
        there, back = store.read("walk", 2, 4), store.read("walk", 6, -4)
    np.testing.assert_array_equal(there.displacement[:, 20, 30], [12, -4])
    np.testing.assert_array_equal(back.displacement[:, 20, 30], [-12, 4])
    # Known up to where the third hop begins inside: 9 px from the right edge, 3 px from the upper one.
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    np.testing.assert_array_equal(there.valid, (x + 9 <= WIDTH - 0.5) & (y - 3 >= -0.5))


def test_every_pixel_goes_hop_by_hop(tmp_path: Path, smooth: Fields, rng: np.random.Generator) -> None:
    """Against one pixel at a time; up to 1/64 px of rounding in each field, which hops can make more of."""
    with store_of(tmp_path / "short.h5", smooth) as store:
        flow = chained_field(store, "walk", 1, (2, 2, 1))
    for x, y in zip(rng.integers(0, WIDTH, 60), rng.integers(0, HEIGHT, 60)):
        place = np.array([[x, y]], dtype=float)
        known = True
        for frame, hop in ((1, 2), (3, 2), (5, 1)):
            known &= bool(inside_frame(place, HEIGHT, WIDTH)[0])
            place += sample_flow(smooth[frame, hop], place)
        assert known == bool(np.isfinite(flow[:, y, x]).all())
        if known:
            np.testing.assert_allclose(flow[:, y, x], (place - (x, y))[0], atol=0.06)


def test_one_hop_is_a_copy(tmp_path: Path, smooth: Fields) -> None:
    with store_of(tmp_path / "short.h5", smooth) as store:
        chain_flow(store, tmp_path / "long.h5", (2, -2))
        with FlowStore(tmp_path / "long.h5") as copy:
            for frame in range(2, FRAMES - 2):
                for step in (-2, 2):
                    np.testing.assert_array_equal(
                        copy.read("walk", frame, step).displacement,
                        store.read("walk", frame, step).displacement,
                    )


def test_an_unknown_pixel_on_the_way_is_unknown(tmp_path: Path) -> None:
    record = replace(RECORD, around='{"margin": 0.25, "boxes": 1, "boxes_hash": "b"}')
    flow = np.ones((2, HEIGHT, WIDTH))
    fields = {(f, s): s * flow for s in (-1, 1) for f in range(FRAMES) if 0 <= f + s < FRAMES}
    with store_of(tmp_path / "short.h5", fields, record) as store:
        pass
    hole = np.full((2, HEIGHT, WIDTH), 32, np.int16)
    hole[:, 10:12, 20:22] = -32768
    with FlowWriter(tmp_path / "short.h5") as writer:
        writer.write("walk", 3, 1, hole)
    with FlowStore(tmp_path / "short.h5") as store:
        chain_flow(store, tmp_path / "long.h5", (3, -3), {"walk": [2]})
    with FlowStore(tmp_path / "long.h5") as store:
        missing = ~store.read("walk", 2, 3).valid
        assert missing[[9, 10], [19, 20]].all()
        assert not missing[[8, 11], [18, 21]].any()
        assert store.record("walk").around == ""


def test_only_what_frames_of_interest_need_and_again(tmp_path: Path, smooth: Fields) -> None:
    store = store_of(tmp_path / "short.h5", smooth)
    first = chain_flow(store, tmp_path / "long.h5", (-3, 3), {"walk": [4]})
    assert (first.chained, first.found) == (4, 0)
    again = chain_flow(store, tmp_path / "long.h5", (-3, 3))
    assert (again.chained, again.found) == (6, 4)
    with FlowStore(tmp_path / "long.h5") as long:
        record = long.record("walk")
        assert (record.estimator, record.source_hash) == ("chained dis", "hash")
        with pytest.raises(MissingFlowError, match="chained dis, which precompute cannot add to"):
            long.read("walk", 0, 2)


def test_what_cannot_be_chained_is_told_before_writing(tmp_path: Path, smooth: Fields) -> None:
    del smooth[5, 1], smooth[4, 2], smooth[5, 2]
    store = store_of(tmp_path / "short.h5", smooth)
    with pytest.raises(MissingFlowError, match=r"frame 2 to frame 6 of video 'walk' and back; .*steps -2"):
        chain_flow(store, tmp_path / "long.h5", (4,))
    assert not (tmp_path / "long.h5").exists()
    with pytest.raises(FlowCacheError, match="to a file of its own"):
        chain_flow(store, tmp_path / "short.h5", (3,))
    with pytest.raises(FlowCacheError, match=r"frames 8, 9 of walk; wanted at least one, from 0 to 7"):
        chain_flow(store, tmp_path / "long.h5", (3,), {"walk": [7, 8, 9]})
    with pytest.raises(FlowCacheError, match="none of them 0"):
        chain_flow(store, tmp_path / "long.h5", (0, 3))


def test_steps_that_lead_out_are_an_error_if_nothing_is_left(
    tmp_path: Path, smooth: Fields, caplog: pytest.LogCaptureFixture
) -> None:
    store, long = store_of(tmp_path / "short.h5", smooth), tmp_path / "long.h5"
    with pytest.raises(FlowCacheError, match=r"every step leads out: 'walk' of 8 frames \(-9, \+8\)"):
        chain_flow(store, long, (8, -9))
    assert not long.exists()
    assert chain_flow(store, long, (7, 8)).chained == 1
    assert caplog.messages == ["no flow over steps that lead out of the video: 'walk' of 8 frames (+8)"]
    with FlowStore(long) as chained:
        assert chained.steps("walk") == (7,)


def test_flow_of_other_makers_does_not_mix(tmp_path: Path, smooth: Fields) -> None:
    chain_flow(store_of(tmp_path / "a.h5", smooth), tmp_path / "long.h5", (3,))
    other = store_of(tmp_path / "b.h5", smooth, replace(RECORD, estimator="raft_small", settings_hash="r"))
    with pytest.raises(FlowCacheError, match=r"chained dis .*asked for chained raft_small"):
        chain_flow(other, tmp_path / "long.h5", (4,))


def test_the_command(
    tmp_path: Path, make_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, short, long = make_folder(), tmp_path / "short.h5", tmp_path / "long.h5"
    assert main(["precompute", str(folder), "--steps=-1,1", "--out", str(short)]) == 0
    assert main(["chain", str(short), "--steps", "-4,4", "--frames", "0:1", "--out", str(long)]) == 0
    assert "4 fields chained, 0 found" in capsys.readouterr().out
    with FlowStore(long) as store:
        middle = store.read("walk", 0, 4).displacement[:, 30:60, 30:80]
    assert np.abs(np.median(middle, axis=(1, 2)) - (8, 4)).max() < 0.2  # (2, 1) px a frame
