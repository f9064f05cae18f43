"""A browser plays the videos."""

from __future__ import annotations

import base64
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from slimdp.inference.video_encoder import VideoEncoder, join_video
from slimdp.inference.video_records import VideoInfo
from tests.headless_browser import headless_browser

_STEP = 4  # frames to a second; the middle of each is looked at
_LOOK = """
const [times, done] = [arguments[0], arguments[arguments.length - 1]];
const canvas = document.createElement('canvas'), context = canvas.getContext('2d');
const colours = [];
const next = () => {
  if (colours.length === times.length)
    return done([video.videoWidth, video.videoHeight, video.duration, colours]);
  video.currentTime = times[colours.length];
};
video.onerror = () => done(video.error.message);
video.onseeked = () => setTimeout(() => {
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  context.drawImage(video, 0, 0);
  colours.push([...context.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data].slice(0, 3));
  next();
}, 50);
if (video.readyState >= 2) next(); else video.onloadeddata = next;
"""


def test_a_browser_shows_every_frame_of_every_piece_at_its_time(tmp_path: Path) -> None:
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40), (40, 200, 200)]
    times = [Fraction(n, _STEP) for n in (0, 1, 2, 5, 6)]  # the third is shown for three quarters of a second
    info = VideoInfo(Path("in.mp4"), "in", 96, 64, 5, Fraction(_STEP), Fraction(4, 3))
    pieces = []
    for first, end in ((0, 2), (2, 5)):
        pieces.append(tmp_path / f"{first}.nut")
        with VideoEncoder(pieces[-1], info) as encoder:
            for index in range(first, end):
                encoder.write(np.full((64, 96, 3), colours[index], np.uint8), times[index])
    join_video(pieces, tmp_path / "video.mp4", info)
    page = tmp_path / "page.html"
    # Within the page: what another file shows, a script may not look at.
    content = base64.b64encode((tmp_path / "video.mp4").read_bytes()).decode()
    page.write_text(f"<video id=video muted preload=auto src='data:video/mp4;base64,{content}'></video>")
    looks = [float(time) + 0.5 / _STEP for time in times] + [1.2]
    with headless_browser() as browser:
        browser.set_script_timeout(60)
        browser.get(page.as_uri())
        found = browser.execute_async_script(_LOOK, looks)
    assert found[:3] == [128, 64, pytest.approx(1.75)]
    expected = [*colours, colours[2]]
    assert np.abs(np.array(found[3]) - expected).max() < 12
