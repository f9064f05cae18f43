from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from slimdp.doctor import examine


def write_film(path: Path, *sides: int, codec: str = "mpeg4") -> None:
    """Six frames of each side, one stream: transport streams may be joined."""
    content = b""
    for side in sides:
        with av.open(str(path), "w") as film:
            stream = film.add_stream(codec, rate=10)
            stream.width = stream.height = side
            for shade in range(0, 240, 40):
                pixels = np.full((side, side, 3), shade, np.uint8)
                film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
            film.mux(stream.encode(None))
        content += path.read_bytes()
    path.write_bytes(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set" / "raw").mkdir(parents=True)
    return tmp_path / "set"


@pytest.mark.parametrize("quick", [False, True])
def test_whole_videos_have_nothing_against_them(folder: Path, quick: bool) -> None:
    for name in ("a.mp4", "raw/b.MKV", "c.ts", "d.avi"):
        write_film(folder / name, 64)
    (folder / "script.ts").write_text("export const x = 1\n")
    diagnosis = examine(folder, quick=quick, quiet=True)
    assert [finding.found for finding in diagnosis.findings] == []
    assert (diagnosis.kinds, diagnosis.video_files) == (["video files"], 4)


def test_what_would_stop_the_work_is_found_before_it(folder: Path) -> None:
    write_film(folder / "cut.mkv", 64)
    cut = folder / "cut.mkv"
    cut.write_bytes(cut.read_bytes()[:-200])
    write_film(folder / "resized.ts", 64, 48)
    write_film(folder / "codec.mp4", 64, codec="libx264")
    (folder / "codec.mp4").write_bytes((folder / "codec.mp4").read_bytes().replace(b"avc1", b"avs3"))
    (folder / "empty.mov").touch()
    found = {finding.file: finding.found for finding in examine(folder, quiet=True).findings}
    assert set(found) == {"cut.mkv", "resized.ts", "codec.mp4", "empty.mov"}
    assert "is cut off" in found["cut.mkv"]
    assert "cannot do its codec, avs3" in found["codec.mp4"]
    assert "frame 6 is 48 x 48 px" in found["resized.ts"]
    assert "empty.mov (0 bytes) is no video" in found["empty.mov"]
    assert {finding.code for finding in examine(folder, quiet=True).findings} == {"video-broken"}


def test_what_is_odd_is_a_warning(folder: Path) -> None:
    with av.open(str(folder / "two.mkv"), "w") as film:
        streams = [film.add_stream("mpeg4", rate=10) for _ in range(2)]
        for stream in streams:
            stream.width = stream.height = 64
        for stream in streams:
            for shade in (0, 90, 200):
                pixels = np.full((64, 64, 3), shade, np.uint8)
                film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
            film.mux(stream.encode(None))
    (finding,) = examine(folder, quiet=True).findings
    assert (finding.code, finding.file) == ("video-odd", "two.mkv")
    assert "holds 2 videos" in finding.found
