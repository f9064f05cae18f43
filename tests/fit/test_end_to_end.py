"""`slimdp fit` as a user runs it, on a rendered video file of which one frame is labelled."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from flow_cache.images import read_image
from slimdp.data import read_annotations, write_annotations
from slimdp.inference.video_encoder import VideoEncoder, join_video
from slimdp.inference.video_records import VideoInfo
from slimdp.synthetic.dataset import synthesize
from slimdp.synthetic.presets import PRESETS

pytestmark = pytest.mark.slow
FRAMES, LABELLED, SIZE = 16, 8, 160


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """walk.mp4, of a rendered clip, and labels.json, which has no pictures beside it."""
    out = tmp_path_factory.mktemp("own")
    plan = PRESETS["smoke"].replace(
        stills=0, val_clips=0, train_clips=1, frames=FRAMES, labelled=(LABELLED,), size=SIZE
    )
    data = synthesize(out / "data", plan, seed=7, quiet=True)
    info = VideoInfo(out / "walk.mp4", "walk", SIZE, SIZE, FRAMES, Fraction(12))
    with VideoEncoder(out / "walk.nut", info) as encoder:
        for index, file in enumerate(sorted((data / "images" / "clips" / "train_00000").iterdir())):
            encoder.write(read_image(file), Fraction(index, 12))
    join_video([out / "walk.nut"], out / "walk.mp4", info)
    people = read_annotations(data / "clips_train.json", data).people
    write_annotations(out / "labels.json", [people[0].image], people)
    return out


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "slimdp", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_from_a_labelled_frame_to_a_page(own: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = [
        "fit",
        own / "labels.json",
        f"train_00000={own / 'walk.mp4'}",
        "--out",
        out,
        "--weights",
        "scratch",
    ]
    words += [
        "--reach",
        "4",
        "--set",
        "stages.0.steps=6",
        "--set",
        "log_every=2",
        "--set",
        "model.features=16",
    ]
    first = run(*words)
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip().splitlines()[-1] == str(out / "report.html")
    page = (out / "report.html").read_text()
    assert page.count("data:video/mp4;base64,") == 1
    carried = read_annotations(out / "propagated.json", out / "data")
    assert {int(step) for person in carried.people for step in person.step} > {0}
    log = (out / "fit.log").read_text()
    for command in ("frames", "doctor", "flow precompute", "propagate", "train", "predict", "video"):
        assert f"slimdp {command} " in log
        assert f"slimdp {command} " in page
    assert json.loads((out / "fit.json").read_text())["reach"] == 4
    made = {file: file.stat().st_mtime_ns for file in out.rglob("*.pt")}
    again = run(*words)
    assert again.returncode == 0, again.stderr
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*.pt")} == made
    # What it ended with is a start for the next one.
    next_run = tmp_path / "next"
    words = ["fit", own / "labels.json", own / "walk.mp4", "--out", next_run, "--set", "stages.0.steps=2"]
    done = run(*words, "--weights", out / "train" / "stage_fit.pt", "--self-train")
    assert done.returncode == 0, done.stderr
    assert (next_run / "train" / "stage_fit_2.pt").is_file()
    people = next_run / "found" / "walk" / "people"
    assert len(read_annotations(people / "people.json", people).images) == FRAMES
    metrics = (next_run / "self" / "metrics.jsonl").read_text()
    assert (next_run / "self" / "stage_fit_3.pt").is_file()
    assert "frames without labels" in (next_run / "report.html").read_text()
    assert (people / "predictions.h5").is_file() == ("taught_part" in metrics)
    assert (next_run / "propagated.json").exists()  # it knows little after six steps
