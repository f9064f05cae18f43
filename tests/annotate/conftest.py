"""A session on two drawn pictures, and a page's requests to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from flow_cache.images import save_png
from slimdp.annotate.document import open_document
from slimdp.annotate.media import open_media
from slimdp.annotate.session import Session
from slimdp.annotate.views import surface_identity
from slimdp.surface import BodySurface, load_surface
from slimdp.surface.people import COCO_KEYPOINTS

TOKEN, PORT, PAGE = "a-token-of-the-test", 4567, "page-of-the-test"
#: What a request of the page says beside its body.
HEADERS = {"host": f"127.0.0.1:{PORT}", "origin": f"http://127.0.0.1:{PORT}"}


def draw_picture(seed: int = 0) -> np.ndarray:
    """A body of two colours before noise: (200, 160, 3) uint8 RGB, the body at x 50..110, y 20..180."""
    image = np.random.default_rng(seed).integers(90, 120, (200, 160, 3)).astype(np.uint8)
    cv2.rectangle(image, (50, 20), (110, 99), (220, 60, 40), -1)
    cv2.rectangle(image, (50, 100), (110, 180), (40, 60, 220), -1)
    return image


@pytest.fixture(scope="session")
def surface() -> BodySurface:
    return load_surface("open")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        save_png(folder / f"{number}.png", draw_picture(number))
    return folder


@contextmanager
def open_labels(folder: Path) -> Iterator[Session]:
    """A session of the pictures of a folder, on its labels.json."""
    surface, labels = load_surface("open"), folder / "labels.json"
    assert isinstance(surface, BodySurface)
    media = open_media(folder / "pictures", labels)
    with open_document(labels, surface.layout, surface_identity(surface), COCO_KEYPOINTS) as document:
        yield Session(document, media, surface)


@dataclass
class Opened:
    """A server's session, and its file."""

    session: Session
    labels: Path

    def content(self) -> dict[str, Any]:
        """What the file holds now."""
        content: dict[str, Any] = json.loads(self.labels.read_text())
        return content

    def person(self, place: int = 0) -> dict[str, Any]:
        """An entry of its people."""
        entry: dict[str, Any] = self.content()["annotations"][place]
        return entry


@pytest.fixture
def open_session(
    pictures: Path, tmp_path: Path, surface: BodySurface, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Opened]]:
    """Opens sessions, each as a new server does; the one before ends."""
    with ExitStack() as last:

        def begin(source: Path = pictures, name: str = "labels.json", **more: Any) -> Opened:
            last.close()
            labels = tmp_path / name
            identity = surface_identity(surface)
            media = open_media(source, labels, more.pop("frames", False))
            document = last.enter_context(open_document(labels, surface.layout, identity, COCO_KEYPOINTS))
            return Opened(Session(document, media, surface, **more), labels)

        yield begin


@pytest.fixture
def opened(open_session: Callable[..., Opened]) -> Opened:
    return open_session()
