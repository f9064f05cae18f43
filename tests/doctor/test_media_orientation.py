"""Pictures with an orientation tag, named by the doctor and by those who read annotations."""

from __future__ import annotations

import io
import json
import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flow_cache.video import open_video
from slimdp.data import AnnotationError, read_annotations
from slimdp.doctor import examine


def image(path: Path, orientation: int) -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[274] = orientation
    y, x = np.mgrid[:24, :40]
    Image.fromarray((x * 5 + y).astype(np.uint8)).save(file, "JPEG", exif=exif)
    path.write_bytes(file.getvalue())


def write(folder: Path, orientations: list[int], width: int = 40, height: int = 24) -> Path:
    images = []
    for number, orientation in enumerate(orientations):
        image(folder / f"{number}.jpg", orientation)
        images.append({"id": number, "file_name": f"{number}.jpg", "width": width, "height": height})
    content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    (folder / "labels.json").write_text(json.dumps(content))
    return folder / "labels.json"


@pytest.mark.parametrize("quick", [True, False])
def test_the_doctor_names_them(tmp_path: Path, quick: bool) -> None:
    write(tmp_path, [1, 3, 6, 1, 2])
    found = [
        f for f in examine(tmp_path, quick=quick, quiet=True).findings if f.code == "picture-orientation"
    ]
    assert [finding.found.rsplit("/")[-1] for finding in found] == [
        f"{number}.jpg has orientation tag {tag}" for number, tag in ((1, 3), (2, 6), (4, 2))
    ]


@pytest.mark.parametrize("quick", [True, False])
def test_exchanged_sizes_are_explained(tmp_path: Path, quick: bool) -> None:
    labels = write(tmp_path, [6], width=24, height=40)
    found = [f for f in examine(tmp_path, quick=quick, quiet=True).findings if f.code == "picture-size"]
    assert "as with its orientation tag (6) applied" in found[0].found
    with pytest.raises(
        AnnotationError, match=r"has 40 x 24, stored; they are exchanged by its orientation tag"
    ):
        read_annotations(labels, tmp_path)


def test_readers_of_labels_and_of_frames_say_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = write(tmp_path, [3, 1, 8])
    with caplog.at_level(logging.WARNING):
        read_annotations(labels, tmp_path)
        open_video(tmp_path)
    assert [record.message.split(": ")[1][:45] for record in caplog.records] == [
        "2 of 3 pictures have an orientation tag, such"
    ] * 2


@pytest.mark.parametrize("quick", [True, False])
def test_a_picture_beyond_the_limit_is_no_crash(tmp_path: Path, quick: bool) -> None:
    write(tmp_path, [1])
    head = struct.pack(">IIBBBBB", 40_000, 30_000, 1, 0, 0, 0, 0)
    chunks = [b"IHDR" + head, b"IDAT" + zlib.compress(bytes(100)), b"IEND"]
    (tmp_path / "0.jpg").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    )
    (found,) = (
        f for f in examine(tmp_path, quick=quick, quiet=True).findings if f.code.startswith("picture-")
    )
    assert found.code == "picture-too-large"
    assert "0.jpg is 40000 x 30000 px, more than 134,217,728 px" in found.found
