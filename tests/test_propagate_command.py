"""`slimdp propagate`, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache import precompute
from slimdp.__main__ import main
from slimdp.data import image_from_frame, read_annotations, write_annotations
from slimdp.structures import ImageRecord, LabelSource, PersonAnnotation

WIDTH, HEIGHT, FRAMES = 128, 96, 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that moves two px right in a frame, its third frame labelled, and flow of one and two frames."""
    out = tmp_path_factory.mktemp("propagate")
    rng = np.random.default_rng(0)
    world = cv2.resize(rng.random((30, 40, 3)), (200, 150), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 255
    (out / "clip").mkdir()
    images = []
    for number in range(FRAMES):
        name = f"clip/{number:06d}.png"
        left = 40 - 2 * number
        cv2.imwrite(str(out / name), world[20 : 20 + HEIGHT, left : left + WIDTH].astype(np.uint8))
        images.append(ImageRecord(number + 1, out / name, name, WIDTH, HEIGHT, "7", number))
    box = np.array([40.0, 20, 40, 50])
    coarse = np.zeros((256, 256), dtype=np.uint8)
    coarse[20:236, 20:236] = 1
    points = image_from_frame(rng.uniform(40, 216, (30, 2)), box)
    zeros = np.zeros(30, dtype=np.int64)
    person = PersonAnnotation(
        1, images[2], box, points, zeros + 2, rng.random((30, 2), dtype=np.float32),
        source=zeros + LabelSource.ANNOTATOR, step=zeros, track=4, coarse=coarse,
    )  # fmt: skip
    write_annotations(out / "people.json", images, [person])
    write_annotations(out / "nobody.json", images, [])
    precompute([out / "clip"], out / "flow.h5", steps=(-2, -1, 1, 2), progress=False)
    return out


def words(folder: Path, out: Path, *more: object) -> list[str]:
    paths = ["--annotations", folder / "people.json", "--images", folder, "--flow", folder / "flow.h5"]
    return [str(word) for word in ["propagate", *paths, "--out", out, *more]]


def test_everything_at_once(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, counts, sheet = (tmp_path / name for name in ("propagated.json", "counts.json", "sheet.png"))
    more = ("--confidence", "falling", "--json", counts, "--sheet", sheet, "--sheet-by", "u")
    assert main(words(folder, out, "--steps", "-2:4", *more)) == 0
    said = capsys.readouterr().out
    assert "1 video compared" in said
    assert [str(path) in said for path in (out, counts, sheet)] == [True] * 3
    people = {person.image.frame: person for person in read_annotations(out, folder).people}
    assert sorted(people) == [0, 1, 2, 3, 4, 5, 6]
    label = people[2]
    for frame, person in people.items():
        if frame == 2:
            assert person.confidence is None
            continue
        before = [label.points[np.abs(label.uv - uv).max(axis=1) < 1e-6][0] for uv in person.uv]
        assert np.abs(person.points - before - [2 * (frame - 2), 0]).mean() < 0.5
        assert person.confidence is not None
        assert (person.confidence > 0).all()
        assert (person.confidence <= 0.98 ** abs(frame - 2) + 1e-6).all()
    content = json.loads(counts.read_text())
    assert content["steps"]["+4"]["hops"] == 2
    assert content["all"]["people"] == 6
    assert cv2.imread(str(sheet)).shape[1] > 7 * 256


def test_as_in_the_paper(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "propagated.json"
    assert main(words(folder, out, "--reach", 2, "--regions", "none")) == 0
    people = read_annotations(out, folder).people
    assert {int(step) for person in people for step in person.step} == {-2, -1, 0, 1, 2}
    assert all(person.confidence is None for person in people)


def test_an_area_stays_with_the_labels_that_it_was_given_with(folder: Path, tmp_path: Path) -> None:
    """It is of the person in that frame: who is carried has the new box's, unless the file says it there."""
    content = json.loads((folder / "people.json").read_text())
    (label,) = content["annotations"]
    label |= {"area": 1234.5, "segmentation": [[42, 22, 78, 22, 78, 68, 42, 68]]}
    known = {"id": 2, "image_id": 4, "category_id": 1, "bbox": [40, 18, 44, 54], "track_id": 4, "area": 999}
    content["annotations"].append(known)
    (tmp_path / "labels.json").write_text(json.dumps(content))
    out = tmp_path / "propagated.json"
    assert main(words(folder, out, "--steps=1:2", "--annotations", tmp_path / "labels.json")) == 0
    written = json.loads(out.read_text())
    frames = {image["id"]: image["frame_id"] for image in written["images"]}
    people = {frames[entry["image_id"]]: entry for entry in written["annotations"]}
    assert sorted(people) == [2, 3, 4]
    assert people[3]["id"] == 2
    assert [people[frame]["area"] for frame in (2, 3)] == [1234.5, 999]
    width, height = people[4]["bbox"][2:]
    assert people[4]["area"] == pytest.approx(width * height)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--steps=0:0",), "wanted a range"),
        (("--longest-hop", 0), "--longest-hop: '0', but a whole number of 1 or more"),
        (("--threshold-px", 0), "--threshold-px: '0', but a number over 0"),
        (("--min-points", 0), "--min-points: '0', but a whole number of 1 or more"),
        (("--sheet", "s.png", "--sheet-rows", 0), "--sheet-rows: '0', but a whole number of 1 or more"),
        (("--annotations", "nobody.json"), "no labelled people in frames of videos"),
        (("--flow", "none.h5"), "no flow store at"),
    ],
)
def test_faults_are_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[object, ...], message: str
) -> None:
    more = tuple(folder / str(word) if str(word).endswith((".json", ".h5")) else word for word in more)
    try:
        code = main(words(folder, tmp_path / "propagated.json", *more))
    except SystemExit as error:  # argparse's own
        code = error.code  # type: ignore[assignment]
    assert code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "propagated.json").exists()


def test_an_existing_file_stays(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "propagated.json"
    out.write_text("mine")
    assert main(words(folder, out)) == 2
    assert "exists; remove it" in capsys.readouterr().err
    assert out.read_text() == "mine"


def test_missing_flow_names_the_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = tmp_path / "ahead.h5"
    precompute([folder / "clip"], flow, steps=(1,), progress=False)
    assert main([*words(folder, tmp_path / "propagated.json"), "--flow", str(flow)]) == 2
    said = capsys.readouterr().err
    assert "no stored flows lead from frame 2 to frame 3 of video 'clip' and back" in said
    assert f"python -m flow_cache precompute {folder / 'clip'} --out {flow}" in said


def test_other_pictures_are_refused_unless_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    (other / "clip").mkdir(parents=True)
    for path in (folder / "clip").iterdir():
        pixels = cv2.imread(str(path))
        cv2.imwrite(str(other / "clip" / path.name), pixels[:, ::-1])
    more = ("--images", other)
    assert main(words(folder, tmp_path / "a.json", *more)) == 2
    assert "the names are the same, the content is not" in capsys.readouterr().err
    assert main(words(folder, tmp_path / "a.json", *more, "--unchecked-frames")) == 0


def test_by_the_learned_check(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, all_of_them = tmp_path / "learned.json", tmp_path / "all.json"
    assert main(words(folder, out, "--reach", 2, "--least-probability", 0.5)) == 0
    assert main(words(folder, all_of_them, "--reach", 2, "--least-probability", 0, "--regions", "none")) == 0
    kept, every = (read_annotations(file, folder).people for file in (out, all_of_them))
    for people, least in ((kept, 0.5), (every, 0.0)):
        trust = np.concatenate([p.confidence for p in people if p.confidence is not None])
        assert ((trust >= least) & (trust <= 1)).all()
    assert sum(len(p.points) for p in kept) <= sum(len(p.points) for p in every)
    assert len([p for p in every if p.confidence is not None]) == 4
    capsys.readouterr()
    assert (
        main(words(folder, tmp_path / "no.json", "--least-probability", 0.5, "--confidence", "falling")) == 2
    )
    assert "--confidence goes with --threshold-px" in capsys.readouterr().err
