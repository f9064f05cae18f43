"""What no annotation file names: pictures, pipes and links to nothing."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import cv2
import numpy as np

from slimdp.doctor import examine


def codes(folder: Path, quick: bool = False) -> list[tuple[str, str]]:
    return [(finding.code, finding.file) for finding in examine(folder, quick=quick, quiet=True).findings]


def turned(jpeg: bytes) -> bytes:
    """The same picture with an EXIF tag that says 180 degrees."""
    tag = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0"
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(tag) + 2) + tag + jpeg[2:]


def test_pictures_without_labels(tmp_path: Path) -> None:
    (tmp_path / "walk").mkdir()
    jpeg = cv2.imencode(".jpg", np.full((20, 30, 3), 90, np.uint8))[1].tobytes()
    for name, content in {"0.jpg": jpeg, "1.jpg": turned(jpeg), "2.jpg": jpeg[:-40]}.items():
        (tmp_path / "walk" / name).write_bytes(content)
    wanted = [("picture-orientation", "walk"), ("picture-damaged", "walk"), ("no-annotations", ".")]
    assert codes(tmp_path) == codes(tmp_path, quick=True) == wanted


def test_pipes_and_links_to_nothing_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.json")
    (tmp_path / "more.json").symlink_to(tmp_path / "nowhere")
    assert codes(tmp_path) == [
        ("not-readable", "labels.json"),
        ("not-readable", "more.json"),
        ("nothing-here", "."),
    ]


def test_a_link_to_a_folder_around_it_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "labels.json").write_text("{")
    assert codes(tmp_path) == [("json-broken", "labels.json"), ("nothing-here", ".")]
