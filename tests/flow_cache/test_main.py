from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from flow_cache.__main__ import main
from flow_cache.schema import put_text
from flow_cache.store import FlowStore
from flow_cache.writer import FlowWriter
from tests.forked import Forked

MakeFolder = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        (["--steps", "-2:1"], ["-2", "-1", "+1"]),
        (["--steps=-2:1"], ["-2", "-1", "+1"]),
        (["--steps", "-1,2"], ["-1", "+2"]),
        (["--steps", "-1"], ["-1"]),
        ([], ["-3", "-2", "-1", "+1", "+2", "+3"]),
    ],
)
def test_precompute_and_inspect(
    tmp_path: Path,
    make_folder: MakeFolder,
    capsys: pytest.CaptureFixture[str],
    steps: list[str],
    found: list[str],
) -> None:
    out = str(tmp_path / "new" / "flow.h5")
    assert main(["precompute", str(make_folder()), *steps, "--out", out]) == 0
    capsys.readouterr()
    assert main(["inspect", out, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (video,) = report["videos"]
    assert video["finished"] == {step: 6 - abs(int(step)) for step in found}
    assert set(video["missing"].values()) == {0}
    assert (video["video"], video["frames"], video["width"], video["height"]) == ("walk", 6, 128, 96)
    assert video["bytes_float32"] == sum(video["finished"].values()) * 2 * 96 * 128 * 4
    assert video["ratio"] == video["bytes_float32"] / video["bytes_stored"] > 2
    assert report["bytes_on_disk"] == {out: Path(out).stat().st_size}


def test_a_part_of_a_video(
    tmp_path: Path, make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = str(tmp_path / "flow.h5"), str(make_folder())
    assert main(["precompute", folder, "--steps", "1", "--frames", "1:2", "--out", out]) == 0
    assert main(["inspect", out]) == 0
    assert "  step +1: 3 fields\n" in capsys.readouterr().out  # the others were not asked for
    with h5py.File(out, "r+") as file:
        file["walk/finished/+1"][2] = 0  # as a run leaves it that was killed
    assert main(["inspect", out]) == 0
    assert "  step +1: 2 fields, 1 missing\n" in capsys.readouterr().out
    assert main(["precompute", folder, "--steps", "1", "--out", out]) == 0
    assert "3 fields of walk estimated, 2 found" in capsys.readouterr().out
    thin = str(tmp_path / "thin.h5")
    assert main(["precompute", folder, "--steps=-2,2", "--frames", "0:4:2", "--out", thin]) == 0
    with FlowStore(thin) as store:
        assert np.flatnonzero(store.finished("walk", 2)).tolist() == [0, 2]  # 0 -> 2 -> 4


def test_a_store_without_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    FlowWriter(tmp_path / "flow.h5").close()
    assert main(["inspect", str(tmp_path / "flow.h5")]) == 0
    assert capsys.readouterr().out == "no videos\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["precompute", "nowhere.mp4", "--out", "flow.h5"], "no video at nowhere.mp4"),
        (["inspect", "none.h5"], "no flow store at none.h5"),
        (["precompute", "a", "--out", "flow.h5", "--steps", "0"], "'0'; wanted a range such as -3:3"),
        (["precompute", "a", "--out", "flow.h5", "--steps", "3:-3"], "'3:-3'; wanted a range"),
        (["precompute", "a", "--out", "flow.h5", "--frames", "9:3"], "'9:3'; wanted first:last"),
        (["precompute", "a", "--out", "flow.h5", "--frames", "3:9:0"], "'3:9:0'; wanted first:last"),
        (["precompute", "a", "--out", "flow.h5", "--estimator", "raf"], "'raf'; choices: dis, raft_small"),
        (["precompute", "a"], "required: --out"),
        ([], "required: COMMAND"),
    ],
)
def test_a_fault_of_the_user_is_a_message_and_code_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    command = [sys.executable, "-m", "flow_cache", *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_show_draws_flow_check_and_frames(tmp_path: Path, make_folder: MakeFolder) -> None:
    folder, out = make_folder(), tmp_path / "flow.h5"
    assert main(["precompute", str(folder), "--steps", "-1:1", "--out", str(out)]) == 0
    assert main(["show", str(out), "walk", "2", "-1", "--out", str(tmp_path / "field.png")]) == 0
    image = cv2.imread(str(tmp_path / "field.png"))
    assert image.shape == (2 * 96, 2 * 128, 3)
    frame, brought = image[96:, :128], image[96:, 128:]
    np.testing.assert_array_equal(frame, cv2.imread(str(folder / "0002.png")))
    # Frame 1 brought to frame 2 looks like frame 2, and unlike itself.
    inner = np.s_[16:-16, 16:-16]
    error = np.abs(brought[inner].astype(int) - frame[inner]).mean()
    before = np.abs(cv2.imread(str(folder / "0001.png"))[inner].astype(int) - frame[inner]).mean()
    assert error < before / 4


def test_frames_that_moved_with_their_store_are_found(
    tmp_path: Path, make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = make_folder(), tmp_path / "flow.h5"
    assert main(["precompute", str(folder), "--steps", "-1:1", "--out", str(out)]) == 0
    (tmp_path / "moved" / "stores").mkdir(parents=True)
    folder.rename(tmp_path / "moved" / folder.name)
    out = out.rename(tmp_path / "moved" / "stores" / "flow.h5")
    assert main(["verify", str(out), "--sample", "2", "--estimator", "dis"]) == 0
    assert "2 estimated again, 0 came out otherwise" in capsys.readouterr().out


@pytest.mark.parametrize("relative", [False, True])  # as older stores have it
def test_frames_are_found_from_every_folder(
    tmp_path: Path,
    make_folder: MakeFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    relative: bool,
) -> None:
    folder, out, field = make_folder(), tmp_path / "flow.h5", tmp_path / "field.png"
    monkeypatch.chdir(tmp_path)
    command = ["precompute", folder.name, "--steps", "-1:1", "--out", "flow.h5"]
    assert main(command) == 0
    with h5py.File(out, "r+") as file:
        assert file["walk"].attrs["source"] == str(folder).encode()
        if relative:
            put_text(file["walk"].attrs, "source", folder.name)
    assert main(command) == 0  # goes on with it
    assert "0 fields of walk estimated, 10 found" in capsys.readouterr().out
    (tmp_path / "elsewhere" / folder.name).mkdir(parents=True)
    for number, file in enumerate(sorted(folder.iterdir())):  # other frames of the same names
        cv2.imwrite(str(tmp_path / "elsewhere" / folder.name / file.name), np.full((96, 128, 3), number))
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["verify", str(out), "--sample", "2", "--estimator", "dis"]) == 0
    assert main(["show", str(out), "walk", "2", "-1", "--out", str(field)]) == 0
    np.testing.assert_array_equal(cv2.imread(str(field))[96:, :128], cv2.imread(str(folder / "0002.png")))


def test_show_leaves_out_frames_that_are_others_or_gone(
    tmp_path: Path, make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out, field = make_folder(), tmp_path / "flow.h5", tmp_path / "field.png"
    assert main(["precompute", str(folder), "--steps", "-1:1", "--out", str(out)]) == 0
    (folder / "0000.png").write_bytes((folder / "0003.png").read_bytes())
    others, gone = f"{folder} is not what the flow of walk was estimated from", "'walk' are not there; looked"
    for why in (others, gone):
        if why == gone:
            folder.rename(tmp_path / "gone")
        assert main(["show", str(out), "walk", "2", "-1", "--out", str(field)]) == 0
        said = capsys.readouterr().out
        assert why in said
        assert "without the frames" in said
        assert cv2.imread(str(field)).shape == (96, 2 * 128, 3)


def test_show_of_a_missing_field(
    tmp_path: Path, make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "flow.h5")
    assert main(["precompute", str(make_folder()), "--steps", "1", "--out", out]) == 0
    assert main(["show", out, "walk", "5", "1", "--out", str(tmp_path / "field.png")]) == 2
    assert "frame 5, step +1" in capsys.readouterr().err
    assert not (tmp_path / "field.png").exists()


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("processes", ["1", "2"])
def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path,
    make_folder: MakeFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    processes: str,
) -> None:
    arguments = ["precompute", str(make_folder(count=20)), "--out", str(tmp_path / "flow.h5")]
    fields, written, write = 108, [], FlowWriter.write

    def write_ten_and_wait(*field: object) -> None:
        write(*field)  # type: ignore[arg-type]
        written.append(field)
        if len(written) == 10:
            print("ten are written", flush=True)
            time.sleep(600)

    with monkeypatch.context() as patch:
        patch.setattr(FlowWriter, "write", write_ten_and_wait)
        process = Forked(lambda: main([*arguments, "--processes", processes]))
    while b"ten are written" not in (line := process.readline()):
        assert line, "it ended before it could be interrupted"
    process.send_signal(signal.SIGINT)
    said = process.read()
    assert process.wait() == 130
    assert said.endswith(b"flow_cache: interrupted; the same command goes on from here\n")
    assert b"Traceback" not in said
    assert main(arguments) == 0
    assert f"{fields - 10} fields of walk estimated, 10 found" in capsys.readouterr().out


def test_shards_read_as_one_store(
    tmp_path: Path, make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_folder()
    folders = [first]
    for name in ("run", "jump"):
        folders.append(tmp_path / name)
        shutil.copytree(first, folders[-1])
    sources = [str(folder) for folder in folders]
    for shard in ("1/4", "2/4", "3/4", "4/4"):
        settings = ["--steps=1", "--preset", "ultrafast", "--shard", shard, "--out", str(tmp_path / "flow")]
        assert main(["precompute", *sources, *settings]) == 0
    assert "none of 3 videos falls to this shard" in capsys.readouterr().out
    assert [path.name for path in sorted((tmp_path / "flow").glob("*.h5"))] == [
        f"shard-{number}-of-4.h5" for number in (1, 2, 3)
    ]
    whole = tmp_path / "whole.h5"
    assert main(["precompute", *sources, "--steps=1", "--preset", "ultrafast", "--out", str(whole)]) == 0
    with FlowStore(tmp_path / "flow") as shards, FlowStore(whole) as one:
        assert shards.videos() == one.videos() == ("jump", "run", "walk")
        for video in one.videos():
            np.testing.assert_array_equal(shards.finished(video, 1), one.finished(video, 1))
            for frame in range(5):
                flow, other = (store.read(video, frame, 1).displacement for store in (shards, one))
                np.testing.assert_array_equal(flow, other)


def test_a_shard_of_short_videos_alone_is_no_error(
    tmp_path: Path, make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["precompute", str(make_folder("long")), str(make_folder("short", 2)), "--preset", "ultrafast"]
    command += ["--out", str(tmp_path / "flow"), "--shard"]
    assert main([*command, "2/2", "--steps=9"]) == 2
    assert "every step leads out: 'long' of 6 frames (+9), 'short' of 2" in capsys.readouterr().err
    for shard, fields in (("1/2", "2 fields of long"), ("2/2", "0 fields of short")):
        assert main([*command, shard, "--steps=4"]) == 0
        assert fields in capsys.readouterr().out


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b"])
def test_impossible_shards_are_refused(
    make_folder: MakeFolder, tmp_path: Path, shard: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["precompute", str(make_folder()), "--shard", shard, "--out", str(tmp_path / "flow")])
    assert "wanted which of how many such as 3/8" in capsys.readouterr().err
