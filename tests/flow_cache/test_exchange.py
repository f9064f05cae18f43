from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from flow_cache.__main__ import main
from flow_cache.codec import UNITS_PER_PX
from flow_cache.errors import FlowCacheError
from flow_cache.estimators import DenseInverseSearch, RaftSmall
from flow_cache.exchange import (
    FORMATS,
    export_flow,
    import_flow,
    number_files,
    read_flo,
    read_kitti,
    write_flo,
    write_kitti,
)
from flow_cache.inspection import verify_store
from flow_cache.precompute import precompute
from flow_cache.store import FlowStore

MakeFolder = Callable[..., Path]
FAST = DenseInverseSearch("ultrafast")


@pytest.fixture
def folder(make_folder: MakeFolder) -> Path:
    return make_folder()


@pytest.fixture
def path(tmp_path: Path, folder: Path) -> Path:
    precompute([folder], tmp_path / "flow.h5", (-1, 2), FAST, progress=False)
    return tmp_path / "flow.h5"


@pytest.mark.parametrize(("format", "suffix"), [("flo", ".flo"), ("kitti", ".png")])
def test_out_and_in_again(path: Path, folder: Path, tmp_path: Path, format: str, suffix: str) -> None:
    with FlowStore(path) as store:
        count = sum(int(store.finished("walk", step).sum()) for step in store.steps("walk"))
        assert export_flow(store, tmp_path / "files", format) == count
        assert len(list((tmp_path / "files" / "walk").glob(f"*{suffix}"))) == count
        again = tmp_path / "again.h5"
        assert import_flow(tmp_path / "files" / "walk", folder, again, format) == count
        with FlowStore(again) as other:
            assert other.record("walk").estimator == "imported"
            for step in store.steps("walk"):
                np.testing.assert_array_equal(other.finished("walk", step), store.finished("walk", step))
            flow, back = (one.read("walk", 2, 2).displacement for one in (store, other))
            np.testing.assert_array_equal(back, flow)  # 1/64 px holds 1/32 px


def test_what_is_unknown_stays_unknown(path: Path, folder: Path, tmp_path: Path) -> None:
    with FlowStore(path) as store:
        flow = store.read("walk", 0, 2).displacement
    flow[:, 3, 5] = np.nan
    write_flo(tmp_path / "files" / "0+2.flo", flow)
    import_flow(tmp_path / "files", folder, tmp_path / "again.h5", "flo")
    with FlowStore(tmp_path / "again.h5") as store:
        np.testing.assert_array_equal(store.read("walk", 0, 2).displacement, flow)


def test_files_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    files, out = tmp_path / "files", tmp_path / "out.h5"
    files.mkdir()
    with pytest.raises(FlowCacheError, match=r"holds no \*\.flo, such as"):
        import_flow(files, folder, out, "flo")
    for name, wrong in (
        ("first.flo", "none of the numbers in the names count; wanted one, as in 000000.flo"),
        ("5+1.flo", "leaves the video"),
        ("0+1.flo", "px, the frames"),
    ):
        write_flo(files / name, np.zeros((2, 3, 4), np.float32))
        with pytest.raises(FlowCacheError, match=wrong):
            import_flow(files, folder, out, "flo")
        (files / name).unlink()
    with pytest.raises(FlowCacheError, match=r"format 'pfm'; choices: flo, kitti"):
        import_flow(files, folder, out, "pfm")
    assert not out.exists()


def test_a_sound_store(path: Path) -> None:
    with FlowStore(path) as store:
        found = verify_store(store, sample=4, estimator=FAST)
    assert found.sound
    assert (found.read, found.estimated_again) == (9, 4)


def test_changed_bytes_are_found_by_their_checksum(path: Path) -> None:
    with h5py.File(path) as file:
        chunk = file["walk/flow/+2"].id.get_chunk_info_by_coord((1, 0, 0, 0))
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0xFF
    path.write_bytes(content)
    with FlowStore(path) as store:
        found = verify_store(store)
    assert not found.sound
    assert len(found.damaged) == 1
    assert found.damaged[0].startswith("walk, frame 1, step +2: ")


def test_flow_that_its_frames_do_not_give_is_found(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["walk/flow/-1"][3, 0, 4, 7] += 2 * UNITS_PER_PX
    with FlowStore(path) as store:
        found = verify_store(store, sample=9, estimator=FAST)
    assert found.damaged == ()
    assert found.different == ("walk, frame 3, step -1: up to 2.0 px",)


def test_a_tile_that_is_not_there_is_found(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["walk/flow/-1"][3] = 0  # as if never written
    with FlowStore(path) as store:
        assert verify_store(store, sample=9, estimator=FAST).different == (
            "walk, frame 3, step -1: up to inf px",
        )


def test_a_field_in_two_files_or_out_of_range_is_named(folder: Path, tmp_path: Path) -> None:
    files = tmp_path / "files"
    write_flo(files / "0+1.flo", np.full((2, 96, 128), 2000.0))
    with pytest.raises(FlowCacheError, match=r"0\+1\.flo: .* cannot be stored"):
        import_flow(files, folder, tmp_path / "out.h5", "flo")
    write_flo(files / "000+1.flo", np.zeros((2, 96, 128)))
    with pytest.raises(FlowCacheError, match="are the same field"):
        import_flow(files, folder, tmp_path / "out.h5", "flo")


def test_a_sample_wants_the_same_frames_and_estimator(path: Path, folder: Path) -> None:
    with FlowStore(path) as store:
        with pytest.raises(FlowCacheError, match="estimated by dis, not by raft_small"):
            verify_store(store, 1, RaftSmall())
        with pytest.raises(FlowCacheError, match=r"with .*ultrafast.*, not with .*fast.*; name what made it"):
            verify_store(store, 1, DenseInverseSearch("fast"))
        with pytest.raises(FlowCacheError, match="no estimator"):
            verify_store(store, 1)
        first = sorted(folder.iterdir())[0]
        first.write_bytes(sorted(folder.iterdir())[1].read_bytes())
        with pytest.raises(FlowCacheError, match="is not what the flow of walk was estimated from"):
            verify_store(store, 1, FAST)


def test_the_commands(path: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(path), "--preset", "ultrafast"]) == 0
    assert "9 fields read, 0 damaged; 3 estimated again, 0 came out otherwise" in capsys.readouterr().out
    assert main(["export", str(path), "--out", str(tmp_path / "files")]) == 0
    assert read_flo(tmp_path / "files" / "walk" / "000000+2.flo").shape[0] == 2
    out = tmp_path / "again.h5"
    assert main(["import", str(tmp_path / "files" / "walk"), "--video", str(folder), "--out", str(out)]) == 0
    assert out.exists()
    path.write_bytes(path.read_bytes()[:2000])
    assert main(["verify", str(path)]) == 2
    assert "damaged" in capsys.readouterr().err


def test_no_name_of_a_video_leads_out_of_the_folder(path: Path, tmp_path: Path) -> None:
    for name in ("..", "..%2F..%2Fescaped", "%2Ftmp%2Fescaped", "a%2F%2Fb"):
        with h5py.File(path, "r+") as file:
            file.move(next(iter(file)), name)
        with (
            FlowStore(path) as store,
            pytest.raises(FlowCacheError, match=r"(another place than|cannot be a folder)"),
        ):
            export_flow(store, tmp_path / "files" / "inner", "flo")
    assert not (tmp_path / "files").exists()
    assert not (tmp_path / "escaped").exists()


def test_a_video_of_several_folders_gets_them(path: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "again.h5"
    with FlowStore(path) as store:
        export_flow(store, tmp_path / "files", "flo")
    import_flow(tmp_path / "files" / "walk", f"SEQ/walk={folder}", out, "flo")
    with FlowStore(out) as store:
        assert export_flow(store, tmp_path / "more", "flo") == 9
    assert len(list((tmp_path / "more" / "SEQ" / "walk").iterdir())) == 9


def test_files_of_another_program_are_taken_as_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, out = tmp_path / "files", tmp_path / "out.h5"
    for frame in range(5):
        write_flo(files / f"frame_{frame + 1:04d}.flo", np.full((2, 96, 128), frame, np.float32))
    command = ["import", str(files), "--video", str(folder), "--out", str(out)]
    assert main(command) == 0
    assert "frame_0001.flo is the flow from frame 0000.png to 0001.png" in capsys.readouterr().out
    with FlowStore(out) as store:
        assert [store.read("walk", frame, 1).displacement[0, 0, 0] for frame in range(5)] == list(range(5))
    assert main([*command, "--first-frame", "0"]) == 2
    assert "leaves the video" in capsys.readouterr().err
    assert main([*command, "--step", "0"]) == 2


FRAMES = tuple(f"{index:06d}.png" for index in range(6))


def fields(*names: str, frames: tuple[str, ...] = FRAMES, **said: int) -> dict[tuple[int, int], str]:
    numbered = number_files([Path("flow", name) for name in names], frames, **said)
    return {field: path.name for field, path in numbered.fields.items()}


def names(pattern: str, *numbers: int) -> list[str]:
    return [pattern % number for number in numbers]


@pytest.mark.parametrize(
    "files",
    [
        names("%06d.flo", *range(5)),  # FlowNet2
        names("frame_%04d.flo", *range(1, 6)),  # Sintel
        names("flow%d.flo", *range(7, 12)),  # any first number, and 10 after 9
        names("cam2_%03d_20200101.flo", *range(5)),
        [f"{number:04d}_{number + 1:04d}.flo" for number in range(1, 6)],  # from and to
    ],
)
def test_as_many_files_as_fit_are_the_steps_from_frame_to_frame(files: list[str]) -> None:
    assert fields(*reversed(files)) == {(frame, 1): name for frame, name in enumerate(files)}


def test_names_of_frames_are_believed_before_numbers() -> None:
    kitti = ("000000_10.png", "000000_11.png", "000001_10.png", "000001_11.png")
    assert fields("000000_10.png", "000001_10.png", frames=kitti) == {
        (0, 1): "000000_10.png",
        (2, 1): "000001_10.png",
    }
    middlebury = tuple(f"frame{number:02d}.png" for number in range(7, 15))
    assert fields("frame10.flo", frames=middlebury) == {(3, 1): "frame10.flo"}
    assert fields("000002.flo", "000003.flo") == {(2, 1): "000002.flo", (3, 1): "000003.flo"}


def test_a_single_pair_is_told_by_the_names_of_its_frames_or_by_two_numbers() -> None:
    kitti = ("000000_10.png", "000000_11.png")
    assert fields("000000_10.png", frames=kitti) == {(0, 1): "000000_10.png"}
    assert fields("000000_11.png", frames=kitti, step=-1) == {(1, -1): "000000_11.png"}
    assert fields("left.flo", frames=("left.png", "right.png")) == {(0, 1): "left.flo"}
    for two in (("0001.png", "0002.png"), ("000000", "000001")):  # the latter of a video file
        assert fields("0001_0002.flo", frames=two) == {(0, 1): "0001_0002.flo"}
        assert fields("0002_0001.flo", frames=two) == {(1, -1): "0002_0001.flo"}
    assert fields("flow_9_11.flo", frames=("a.png", "b.png", "c.png")) == {(0, 2): "flow_9_11.flo"}
    assert fields("0003_0005.flo", first=1) == {(2, 2): "0003_0005.flo"}
    with pytest.raises(FlowCacheError, match=r"1 files, numbers 1 to 1, .* --first-frame 0 or --first-"):
        fields("0001_0002.flo")
    for no_pair in ("000000_10.flo", "cam2_0001.flo", "3_3.flo", "1_2_3.flo"):
        with pytest.raises(
            FlowCacheError, match=r"none of the numbers .* two from frame to frame, as in 0001_"
        ):
            fields(no_pair)


def test_a_step_may_lead_back_or_farther() -> None:
    back = names("%06d.flo", *range(1, 6))
    assert fields(*back, step=-1) == {(frame, -1): f"{frame:06d}.flo" for frame in range(1, 6)}
    assert fields(*names("b%02d.flo", *range(5)), step=-1) == {
        (frame + 1, -1): f"b{frame:02d}.flo" for frame in range(5)
    }
    assert set(fields(*names("f%d.flo", *range(4)), step=2)) == {(frame, 2) for frame in range(4)}
    assert set(fields("a_3_5.flo", "a_1_3.flo", first=1)) == {(0, 2), (2, 2)}


def test_the_first_frame_may_be_said() -> None:
    assert fields("x2.flo", "x3.flo", first=1) == {(1, 1): "x2.flo", (2, 1): "x3.flo"}
    assert fields("x2.flo", "x3.flo", first=0) == {(2, 1): "x2.flo", (3, 1): "x3.flo"}


@pytest.mark.parametrize(
    ("files", "frames", "said"),
    [
        (
            names("f%d.flo", 1, 2, 3),
            FRAMES,
            "numbers 1 to 3, whose names are not .*--first-frame 1",
        ),
        (names("f%d.flo", 0, 1, 2, 4, 5), FRAMES, "numbers 0 to 5 with gaps"),
        (names("f%d.flo", *range(6)), FRAMES, "6 files.* 5 fields of step"),
        (names("%06d.flo", 1, 2), tuple(f"{index:06d}" for index in range(6)), "--first-frame 0 or"),
        (["forward_1.flo", "back_1.flo"], FRAMES, r"named in 2 ways \(back_1.flo, forward_1.flo\); .*--step"),
        (["a1_1.flo", "a1_2.flo", "a2_1.flo"], FRAMES, "2 of the numbers in the names count"),
        (["flow.flo"], FRAMES, "none of the numbers"),
        (["3+1.flo", "03+1.flo"], FRAMES, "are the same field"),
        (["3+0.flo"], FRAMES, "leaves the video"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(
    files: list[str], frames: tuple[str, ...], said: str
) -> None:
    with pytest.raises(FlowCacheError, match=said):
        fields(*files, frames=frames)


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
    image = tmp_path / "a.png"
    for content in (b"", b"text"):
        image.write_bytes(content)
        with pytest.raises(FlowCacheError, match=r"is (no picture|cut off)"):
            read_kitti(image)
    cv2.imwrite(str(image), np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(FlowCacheError, match=r"uint8 \(2, 2, 3\); wanted a 16-bit PNG"):
        read_kitti(image)
    with pytest.raises(FlowCacheError, match="up to 600 px; KITTI's format ends at 512 px"):
        write_kitti(tmp_path / "far.png", np.full((2, 2, 2), 600.0))
    assert not (tmp_path / "far.png").exists()
    assert set(FORMATS) == {"flo", "kitti"}
