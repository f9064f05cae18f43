from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tools.bench_video import Stopwatch, main


def busy(seconds: float) -> None:
    """Keep the processor busy for so many seconds of its time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_step_within_another_is_its_own() -> None:
    watch = Stopwatch()

    def items() -> Iterator[int]:
        for number in range(3):
            busy(0.02)
            yield number

    with watch.of("outer"):
        assert list(watch.items("inner", items())) == [0, 1, 2]
        watch.call("called", busy)(0.02)
        busy(0.02)
    assert set(watch.seconds) == {"outer", "inner", "called"}
    assert watch.seconds["inner"] >= 0.06
    assert watch.seconds["called"] >= 0.02
    assert 0.02 <= watch.seconds["outer"] < watch.seconds["inner"] + 0.02


def test_all_steps_of_a_video_are_told(
    tmp_path: Path, one_thread: None, capsys: pytest.CaptureFixture[str]
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), image)
    assert (
        main([str(tmp_path), "--detector", "follow:5,5,40,40", "--frames", "3", "--weights", "random"]) == 0
    )
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    steps = {"boxes", "tracking", "crops", "network", "smoothing", "answers", "writing", "decode"}
    steps |= {"looks", "painting", "drawing", "H.264"}
    assert steps <= set(told["ms_a_frame"])
    assert told["network_ms"] == told["ms_a_frame"]["network"] > 0
    assert (told["frames"], told["crops"]) == (3, 3)
