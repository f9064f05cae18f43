from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slimdp.__main__ import main
from slimdp.data import read_annotations, write_annotations
from slimdp.evaluation import PredictionWriter, evaluate_files
from slimdp.evaluation.points import PointErrors
from slimdp.evaluation.several_annotators import (
    disagreement,
    error_rows,
    merged_images,
    merged_outlines,
    merged_people,
    pairs_of,
    share_points,
)
from slimdp.structures import IGNORE, PersonAnnotation
from slimdp.surface.body import BodySurface
from tests.evaluation.test_annotators import moved, spread


@pytest.fixture
def three(perfect_pair: Any) -> list[list[PersonAnnotation]]:
    """The same 60 points by three annotators; the second is off by 3 cm, the third by 9."""
    exact = spread(perfect_pair()[0])
    return [[exact], [moved(exact, 3.0)], [moved(exact, 9.0)]]


def test_distances_between_annotators(flat_surface: BodySurface, three: list[list[PersonAnnotation]]) -> None:
    shared = share_points(three)
    assert shared.places == 60
    errors = disagreement(shared, flat_surface)
    for a, b, wanted_m in ((0, 1, 0.03), (0, 2, 0.09), (1, 2, 0.06)):
        assert errors.full_m[pairs_of(shared, a, b)] == pytest.approx(wanted_m, abs=1e-5)
    row = error_rows(errors, ["background", *map(str, range(1, 25))])[0]
    assert (row.count, row.lost) == (180, 0)
    assert (row.median_cm, row.mean_cm) == pytest.approx((6, 6), abs=1e-3)


def test_merged_labels_are_those_in_between(
    flat_surface: BodySurface, three: list[list[PersonAnnotation]]
) -> None:
    (person,) = merged_people(share_points(three), flat_surface)
    # 3 + 6 cm to the others, where the first has 3 + 9 and the third 9 + 6.
    np.testing.assert_array_equal(person.uv, three[1][0].uv)
    assert len(person.points) == 60
    # The mean of its distances is 4.5 cm.
    (nobody,) = merged_people(share_points(three), flat_surface, apart_m=0.04)
    assert len(nobody.points) == 0


def test_of_two_the_first_counts_and_what_one_has_alone_stays(
    flat_surface: BodySurface, three: list[list[PersonAnnotation]]
) -> None:
    first, second = three[0][0], three[1][0]
    half = first.with_points(np.arange(60) < 30)
    (person,) = merged_people(share_points([[half], [second]]), flat_surface)
    np.testing.assert_array_equal(person.uv, np.concatenate([first.uv[:30], second.uv[30:]]))


def by_part_alone(person: PersonAnnotation, chosen: np.ndarray) -> PersonAnnotation:
    """The person without (u, v) of the chosen points (N,) bool."""
    return dataclasses.replace(person, uv=np.where(chosen[:, None], np.float32(np.nan), person.uv))


def test_a_place_that_nobody_gave_u_and_v_keeps_its_part(
    flat_surface: BodySurface, three: list[list[PersonAnnotation]]
) -> None:
    first, second = three[0][0], three[1][0]
    number = np.arange(60)
    ours = by_part_alone(first, number < 30)
    # One has the places 0 to 39, 30 of them by their part alone; the other 20 to 59, 20 of them likewise.
    theirs = by_part_alone(second, number < 40)
    shared = share_points([[ours.with_points(number < 40)], [theirs.with_points(number >= 20)]])
    assert (shared.places, shared.places_by_part) == (60, 30)
    assert len(disagreement(shared, flat_surface).full_m) == 0
    (person,) = merged_people(shared, flat_surface)
    order = np.lexsort(person.points.T)
    wanted = np.lexsort(first.points.T)
    np.testing.assert_array_equal(person.points[order], first.points[wanted])
    np.testing.assert_array_equal(person.part[order], first.part[wanted])
    u_v = np.where((number < 30)[:, None], np.nan, np.where((number < 40)[:, None], first.uv, second.uv))
    np.testing.assert_array_equal(person.uv[order], u_v[wanted].astype(np.float32))


def test_a_part_alone_is_that_of_most(flat_surface: BodySurface, three: list[list[PersonAnnotation]]) -> None:
    bare = by_part_alone(three[0][0], np.ones(60, dtype=bool)).with_points(np.arange(60) < 1)

    def merged_part(*parts: int) -> int:
        people = [[dataclasses.replace(bare, part=np.array([part]))] for part in parts]
        (person,) = merged_people(share_points(people), flat_surface, apart_m=0.01)
        assert np.isnan(person.uv).all()
        (part,) = person.part.tolist()
        return int(part)

    assert merged_part(1, 2, 2) == 2
    assert merged_part(2, 1) == 2
    assert merged_part(3, 2, 1, 1, 2) == 2


def test_u_and_v_count_before_a_part_alone(
    flat_surface: BodySurface, three: list[list[PersonAnnotation]]
) -> None:
    bare = by_part_alone(three[0][0], np.ones(60, dtype=bool))
    (person,) = merged_people(share_points([[bare], [bare], three[1]]), flat_surface)
    np.testing.assert_array_equal(person.uv, three[1][0].uv)
    # Of one annotator, two points at one place are two labels.
    both = dataclasses.replace(
        bare,
        **{
            name: np.concatenate([getattr(bare, name), getattr(three[1][0], name)])
            for name in ("points", "part", "uv", "source", "step")
        },
    )
    assert share_points([[both], [both]]).places == 120


def test_places_are_matched_one_to_one_within_the_tolerance(three: list[list[PersonAnnotation]]) -> None:
    first = three[0][0]
    beside = dataclasses.replace(first, points=first.points + 0.6)
    assert share_points([[first], [beside]]).places == 60
    away = dataclasses.replace(first, points=first.points + 1.5)
    assert share_points([[first], [away]]).places == 120
    twice = dataclasses.replace(first, points=np.repeat(first.points[:30], 2, axis=0))
    # Of two points at one pixel each is a place of its own.
    assert share_points([[twice], [twice]]).places == 60


def test_of_whom_the_first_has_no_masks_another_gives_them_and_the_rest(
    flat_surface: BodySurface, three: list[list[PersonAnnotation]]
) -> None:
    second = dataclasses.replace(three[1][0], track=4)
    coarse = np.zeros((256, 256), dtype=np.uint8)
    coarse[50:200, 40:120] = 2
    second = dataclasses.replace(second, coarse=coarse)
    marks = np.array([[30.0, 40.0, 2.0]])
    second = dataclasses.replace(second, keypoints=marks, keypoint_names=("nose",))
    bare = dataclasses.replace(
        second.with_points(np.zeros(60, dtype=bool)),
        coarse=None,
        track=None,
        keypoints=None,
        keypoint_names=(),
    )
    empty = dataclasses.replace(bare, coarse=np.zeros_like(coarse))  # a list of no masks
    for first in (bare, empty):
        (person,) = merged_people(share_points([[first], [second]]), flat_surface)
        np.testing.assert_array_equal(person.coarse, coarse)
        np.testing.assert_array_equal(person.keypoints, marks)
        assert (person.track, person.keypoint_names, len(person.points)) == (4, ("nose",), 60)


def test_a_box_grows_to_hold_points_of_another(
    flat_surface: BodySurface, three: list[list[PersonAnnotation]]
) -> None:
    first = dataclasses.replace(three[0][0], box=np.array([10.0, 10.0, 40.0, 40.0]))
    first = dataclasses.replace(first, points=np.full((60, 2), 30.0) + np.arange(60)[:, None] / 10)
    half = np.where(np.arange(256) < 128, 1, 2).astype(np.uint8)
    first = dataclasses.replace(first, coarse=np.tile(half, (256, 1)))
    wider = dataclasses.replace(first, box=np.array([10.0, 10.0, 80.0, 40.0]))
    (person,) = merged_people(share_points([[first], [wider]]), flat_surface)
    np.testing.assert_array_equal(person.box, first.box)  # nobody's point needs more
    beyond = dataclasses.replace(wider, points=first.points + [40, 0])
    (person,) = merged_people(share_points([[first], [beyond]]), flat_surface)
    np.testing.assert_array_equal(person.box, wider.box)
    assert len(person.points) == 120
    assert person.coarse is not None
    # The mask stays where it was in the picture, and is not known beside it.
    middle = person.coarse[128]
    assert (set(middle[:63]), set(middle[65:127]), set(middle[129:])) == ({1}, {2}, {IGNORE})


def test_a_picture_is_labelled_if_anybody_labelled_it(three: list[list[PersonAnnotation]]) -> None:
    image, region = three[0][0].image, np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    first = dataclasses.replace(image, labelled=False)
    second = dataclasses.replace(image, file_name="other.jpg", ignore_regions=(region,))
    other = dataclasses.replace(first, id=image.id + 1)
    merged = merged_images([[first], [second, other]])
    assert [(each.id, each.labelled, each.file_name) for each in merged] == [
        (image.id, True, image.file_name),
        (other.id, False, image.file_name),
    ]
    assert len(merged[0].ignore_regions) == 1


def test_outlines_and_areas_are_those_of_the_first_who_has_them() -> None:
    square, other = [[0, 0, 9, 0, 9, 9]], [[0, 0, 5, 0, 5, 5]]
    merged = merged_outlines(
        [
            {(1, 1): {"segmentation": [], "area": 100.0}, (1, 2): {"area": 7.0}, (1, 3): {}},
            {(1, 1): {"segmentation": square, "area": 40.5}, (1, 2): {"segmentation": square}},
            {(1, 1): {"segmentation": other, "area": 12.5}, (1, 3): {"segmentation": [], "area": 3.0}},
        ]
    )
    assert merged == {
        (1, 1): {"segmentation": square, "area": 40.5},
        (1, 2): {"segmentation": square, "area": 7.0},
        (1, 3): {"area": 3.0},
    }


def test_people_are_known_by_their_ids(
    flat_surface: BodySurface, three: list[list[PersonAnnotation]]
) -> None:
    other = dataclasses.replace(three[1][0], id=three[1][0].id + 1)
    shared = share_points([three[0], [other]])
    assert len(merged_people(shared, flat_surface)) == 2
    assert len(disagreement(shared, flat_surface).full_m) == 0
    with pytest.raises(ValueError, match="1 annotators, but two or more"):
        share_points(three[:1])
    with pytest.raises(ValueError, match=r"nobody has a point$"):
        share_points([[], []])


def test_rows_of_errors_by_hand() -> None:
    error_m = np.array([0.01, 0.03, 0.05, np.inf])
    errors = PointErrors(error_m, error_m, np.array([1, 1, 2, 2]), np.zeros(4, int))
    everything, first, second = error_rows(errors, ["background", "left", "right", "tail"])
    assert (everything.count, everything.lost) == (4, 1)
    assert (everything.median_cm, everything.mean_cm) == pytest.approx((3, 3))
    assert (first.name, first.median_cm, first.lost) == ("left", pytest.approx(2), 0)
    assert (second.name, second.mean_cm, second.lost) == ("right", pytest.approx(5), 1)


def test_the_command_merges_files(
    three: list[list[PersonAnnotation]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for number, people in enumerate(three):
        files.append(tmp_path / f"{'abc'[number]}.json")
        inside = dataclasses.replace(people[0], points=people[0].points + [14, 9])
        write_annotations(files[-1], [inside.image], [inside])
    out, merged = tmp_path / "out.json", tmp_path / "merged.json"
    command = ["merge", *map(str, files), "--scores", str(out), "--out", str(merged)]
    assert main(command) == 0
    told = json.loads(out.read_text())
    assert told["places"] == 60
    assert set(told["pairs"]) == {"a, b", "a, c", "b, c"}
    assert told["pairs"]["a, b"]["median_cm"] < told["pairs"]["a, c"]["median_cm"]
    (person,) = read_annotations(merged, "", check_images=False).people
    assert len(person.points) == 60
    assert "median cm" in capsys.readouterr().out


def test_the_command_keeps_points_of_a_part_alone(
    three: list[list[PersonAnnotation]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for name, people in zip("ab", three):
        inside = dataclasses.replace(people[0], points=people[0].points + [14, 9])
        files.append(str(tmp_path / f"{name}.json"))
        write_annotations(files[-1], [inside.image], [by_part_alone(inside, np.arange(60) < 25)])
    out = tmp_path / "all.json"
    assert main(["merge", *files, "--out", str(out)]) == 0
    assert "60 places, 25 of them by part alone" in capsys.readouterr().out
    (person,) = read_annotations(out, "", check_images=False).people
    assert (len(person.points), int(person.has_uv.sum())) == (60, 35)
    for name in ("a", "b"):
        bare = json.loads((tmp_path / f"{name}.json").read_text())
        bare["annotations"][0]["dp_U"] = bare["annotations"][0]["dp_V"] = [None] * 60
        (tmp_path / f"{name}.json").write_text(json.dumps(bare))
    assert main(["merge", *files, "--out", str(out)]) == 0
    assert "no two annotators gave u and v of the same place" in capsys.readouterr().out
    (person,) = read_annotations(out, "", check_images=False).people
    assert (len(person.points), int(person.has_uv.sum())) == (60, 0)


def test_pairs_are_named_by_what_differs_in_their_paths(
    three: list[list[PersonAnnotation]], tmp_path: Path
) -> None:
    files = []
    for name, people in zip(("anna/labels", "ben/labels", "carl"), three):
        inside = dataclasses.replace(people[0], points=people[0].points + [14, 9])
        files.append(tmp_path / f"{name}.json")
        files[-1].parent.mkdir(exist_ok=True)
        write_annotations(files[-1], [inside.image], [inside])
    out = tmp_path / "out.json"
    assert main(["merge", *map(str, files), "--scores", str(out)]) == 0
    pairs = json.loads(out.read_text())["pairs"]
    assert list(pairs) == ["anna/labels, ben/labels", "anna/labels, carl", "ben/labels, carl"]
    assert {row["count"] for row in pairs.values()} == {60}
    assert main(["merge", str(files[0]), str(files[2]), str(files[2]), "--scores", str(out)]) == 0
    pairs = json.loads(out.read_text())["pairs"]
    assert list(pairs) == ["labels, carl", "labels, carl (2)", "carl, carl (2)"]


def test_files_that_share_no_place_are_put_together(
    three: list[list[PersonAnnotation]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One who labelled some frames, and one who labelled the others, of one file."""
    halves = np.arange(len(three[0][0].points)) < 20
    files = []
    for name, mine in (("a", halves), ("b", ~halves)):
        person = dataclasses.replace(three[0][0], points=three[0][0].points + [14, 9]).with_points(mine)
        files.append(str(tmp_path / f"{name}.json"))
        write_annotations(files[-1], [person.image], [person])
    out = tmp_path / "all.json"
    assert main(["merge", *files, "--out", str(out)]) == 0
    assert "no two annotators labelled the same place: all labels are kept" in capsys.readouterr().out
    (person,) = read_annotations(out, "", check_images=False).people
    assert len(person.points) == 60
    assert main(["merge", *files, "--scores", str(tmp_path / "s.json")]) == 2
    assert "no two annotators labelled the same place within 1 px" in capsys.readouterr().err


def test_one_id_for_two_pictures_is_refused(
    three: list[list[PersonAnnotation]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for name in ("a", "b"):
        image = dataclasses.replace(three[0][0].image, file_name=f"{name}.jpg")
        person = dataclasses.replace(three[0][0], image=image, points=three[0][0].points + [14, 9])
        files.append(str(tmp_path / f"{name}.json"))
        write_annotations(files[-1], [image], [person])
    assert main(["merge", *files, "--out", str(tmp_path / "all.json")]) == 2
    told = capsys.readouterr().err
    assert f"is a.jpg in {files[0]}, but b.jpg in {files[1]}" in told
    assert not (tmp_path / "all.json").exists()


def test_a_label_keeps_how_far_it_is_trusted(
    flat_surface: BodySurface, three: list[list[PersonAnnotation]]
) -> None:
    half = np.full(60, 0.5, np.float32)
    doubtful = dataclasses.replace(three[1][0], confidence=half)
    (person,) = merged_people(share_points([three[0], [doubtful], three[2]]), flat_surface)
    assert person.confidence is not None
    np.testing.assert_array_equal(person.confidence, half)  # the one in between is chosen
    one_alone = three[0][0].with_points(np.arange(60) < 30)
    (mixed,) = merged_people(share_points([[one_alone], [doubtful]]), flat_surface)
    # Of two the first counts, who says nothing and is sure; the other's stay as trusted as they are.
    assert mixed.confidence is not None
    np.testing.assert_array_equal(np.sort(mixed.confidence), np.repeat([0.5, 1.0], 30))


def test_an_exam_has_people_without_points(
    three: list[list[PersonAnnotation]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exact = dataclasses.replace(three[0][0], points=three[0][0].points + [14, 9])
    known, exam = tmp_path / "known.json", tmp_path / "exam.json"
    people = [dataclasses.replace(exact, id=number) for number in (1, 2, 3)]
    write_annotations(known, [exact.image], people)
    command = ["exam", "--annotations", str(known), "--out", str(exam)]
    assert main([*command, "--people", "2"]) == 0
    drawn = read_annotations(exam, "", check_images=False).people
    assert len(drawn) == 2
    assert {person.id for person in drawn} < {1, 2, 3}
    for person in drawn:
        assert len(person.points) == 0
        np.testing.assert_array_equal(person.box, exact.box)
        np.testing.assert_array_equal(person.coarse, exact.coarse)
    # Who then places every point right is told so, in centimetres.
    answer = tmp_path / "answer.json"
    write_annotations(answer, [exact.image], [person for person in people if person.id == drawn[0].id])
    scores = tmp_path / "scores.json"
    command = ["annotators", "--annotations", str(answer), "--truth", str(known), "--out", str(scores)]
    assert main(command) == 0
    told = json.loads(scores.read_text())["errors"]["all"]
    assert (told["count"], told["lost"]) == (60, 0)
    assert told["median_cm"] < 0.1
    assert main(["exam", "--annotations", str(exam), "--out", str(tmp_path / "none.json")]) == 2
    assert "none of 2 people has points to be placed again" in capsys.readouterr().err


def test_merged_with_somebody_who_labelled_nothing_scores_are_as_of_the_file(
    perfect_pair: Any, flat_surface: BodySurface, tmp_path: Path
) -> None:
    """Average precision looks at masks, outlines and areas, and the reader at pictures without labels."""
    exact, predicted = perfect_pair()
    whole = tmp_path / "ben.json"
    write_annotations(whole, [exact.image], [dataclasses.replace(exact, coarse=None)])
    content = json.loads(whole.read_text())
    x, y, width, height = exact.box.tolist()
    corners = [x, y, x + width, y, x + width, y + height / 2, x, y + height / 2]
    content["annotations"][0] |= {"segmentation": [corners], "area": width * height / 2}
    whole.write_text(json.dumps(content))
    bare = {name: field for name, field in content["annotations"][0].items() if not name.startswith("dp_")}
    for image in content["images"]:
        image["is_labeled"] = False
    del bare["segmentation"], bare["area"]
    (tmp_path / "anna.json").write_text(json.dumps(content | {"annotations": [bare]}))
    merged, found = tmp_path / "merged.json", tmp_path / "found.h5"
    # Somebody must share a place with Ben for distances to be told: he himself.
    assert (
        main(
            [
                "merge",
                *(str(tmp_path / f"{name}.json") for name in ("anna", "ben", "ben")),
                "--out",
                str(merged),
            ]
        )
        == 0
    )
    written = json.loads(merged.read_text())
    assert written["annotations"][0]["segmentation"] == [corners]
    assert written["annotations"][0]["area"] == width * height / 2
    assert written["images"][0]["is_labeled"]
    with PredictionWriter(found, len(predicted.part)) as writer:
        writer.write(predicted)
    scores = [evaluate_files(found, file, flat_surface).as_json() for file in (whole, merged)]
    assert scores[0] == scores[1]
    exam = tmp_path / "exam.json"
    assert main(["exam", "--annotations", str(whole), "--out", str(exam)]) == 0
    asked = json.loads(exam.read_text())["annotations"][0]
    assert (asked["segmentation"], asked["area"]) == ([corners], width * height / 2)
