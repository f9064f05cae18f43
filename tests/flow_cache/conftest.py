"""Small moving pictures for the tests of flow_cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def texture() -> np.ndarray:
    """A picture (96, 128, 3) uint8 whose every patch can be told apart."""
    noise = np.random.default_rng(3).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 2).astype(np.float32)
    return np.clip((blurred - blurred.mean()) * 4 + 128, 0, 255).astype(np.uint8)


@pytest.fixture
def make_folder(tmp_path: Path, texture: np.ndarray) -> Callable[..., Path]:
    """Writes a folder of PNG frames in which the texture moves by (2, 1) px a frame."""

    def make(name: str = "walk", count: int = 6) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for index in range(count):
            cv2.imwrite(str(folder / f"{index:04d}.png"), np.roll(texture, (index, 2 * index), axis=(0, 1)))
        return folder

    return make


@pytest.fixture
def make_film(tmp_path: Path) -> Callable[..., Path]:
    """Writes a video file of given frames (H, W, 3) uint8 RGB, with as much sound as is asked for."""

    def make(
        name: str,
        frames: Sequence[np.ndarray],
        codec: str = "libx264",
        sound: float = 0,
        times: Sequence[int] | None = None,
        sample_aspect_ratio: Fraction | None = None,
        **settings: object,
    ) -> Path:
        options = settings.pop("options", {"preset": "ultrafast"} if codec == "libx264" else {})
        with av.open(str(tmp_path / name), "w", options=settings.pop("container", {})) as film:
            stream = film.add_stream(codec, rate=10, options=options)
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = settings.pop("pix_fmt", "yuv420p")
            for setting, value in settings.items():
                setattr(stream.codec_context, setting, value)
            if sample_aspect_ratio is not None:
                stream.codec_context.sample_aspect_ratio = sample_aspect_ratio
            loud = film.add_stream("aac", rate=8000) if sound else None
            for place, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.time_base, frame.pts = Fraction(1, 10), place if times is None else times[place]
                film.mux(stream.encode(frame))
            film.mux(stream.encode(None))
            if loud is not None:
                for place in range(int(sound * 8)):
                    samples = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.float32), "fltp", "mono")
                    samples.sample_rate, samples.pts = 8000, 1000 * place
                    film.mux(loud.encode(samples))
                film.mux(loud.encode(None))
        return tmp_path / name

    return make
