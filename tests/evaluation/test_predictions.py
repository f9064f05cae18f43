from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from slimdp.evaluation import PredictionFile, PredictionFileError, PredictionWriter
from slimdp.evaluation.predictions import PredictionOrigin
from slimdp.structures import DensePoseInstance

SIZE = 64
ORIGIN = PredictionOrigin(
    checkpoint="last.pt", checkpoint_sha256="ab12", annotations="people.json", category_id=7
)


def random_prediction(seed: int, image_id: int = 1, annotation_id: int | None = None) -> DensePoseInstance:
    rng = np.random.default_rng(seed)
    return DensePoseInstance(
        annotation_id=seed if annotation_id is None else annotation_id,
        image_id=image_id,
        box=rng.uniform(1, 50, 4),
        score=float(rng.uniform()),
        crop_from_image=rng.normal(size=(2, 3)),
        part=rng.integers(1, 25, (SIZE, SIZE)).astype(np.uint8),
        uv=rng.uniform(0, 1, (2, SIZE, SIZE)).astype(np.float16),
        foreground=rng.uniform(size=(SIZE, SIZE)) < 0.5,
    )


def write(path: Path, predictions: list[DensePoseInstance]) -> Path:
    with PredictionWriter(path, SIZE, ORIGIN) as writer:
        for prediction in predictions:
            writer.write(prediction)
    return path


def write_and_stop(path: Path) -> None:
    with PredictionWriter(path, SIZE, ORIGIN) as writer:
        writer.write(random_prediction(9))
        raise RuntimeError("stop")


def assert_equal(a: DensePoseInstance, b: DensePoseInstance) -> None:
    for field in dataclasses.fields(DensePoseInstance):
        value = getattr(a, field.name)
        np.testing.assert_array_equal(value, getattr(b, field.name), err_msg=field.name)
        if isinstance(value, np.ndarray):
            assert value.dtype == getattr(b, field.name).dtype


def read_all(path: Path) -> list[DensePoseInstance]:
    with PredictionFile(path) as file:
        return list(file)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, list[DensePoseInstance]]:
    predictions = [random_prediction(seed) for seed in (3, 1, 2)]
    return write(tmp_path / "predictions.h5", predictions), predictions


def test_round_trip_is_exact_and_in_order(saved: tuple[Path, list[DensePoseInstance]]) -> None:
    path, predictions = saved
    read = read_all(path)
    assert len(read) == 3
    for before, after in zip(predictions, read):
        assert_equal(before, after)
    assert [p.name for p in path.parent.iterdir()] == ["predictions.h5"]


def test_one_person_by_image_and_annotation(tmp_path: Path) -> None:
    # The same annotation id in two images, as in real files.
    predictions = [random_prediction(1, image_id=7, annotation_id=5), random_prediction(2, 8, 5)]
    with PredictionFile(write(tmp_path / "p.h5", predictions)) as file:
        assert file.keys() == ((7, 5), (8, 5))
        assert (8, 5) in file
        assert (5, 8) not in file
        assert_equal(file.read(8, 5), predictions[1])
        assert file.origin == ORIGIN
        assert file.crop_size == SIZE
        with pytest.raises(PredictionFileError, match=r"image 9, annotation 5.*holds 2 people"):
            file.read(9, 5)


def test_writing_stopped_by_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"):
        write_and_stop(tmp_path / "p.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_rewrite_keeps_the_old_file(saved: tuple[Path, list[DensePoseInstance]]) -> None:
    path, predictions = saved
    with pytest.raises(RuntimeError, match="stop"):
        write_and_stop(path)
    assert len(read_all(path)) == len(predictions)


def test_the_same_person_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="annotation 1 was already written"):
        write(tmp_path / "p.h5", [random_prediction(1), random_prediction(1)])
    assert list(tmp_path.iterdir()) == []


BAD_VALUES: list[tuple[str, Any, str]] = [
    ("part", np.zeros((SIZE, SIZE), np.uint8), r"part runs from 0 to 0, but 1\.\.24"),
    ("part", np.full((SIZE, SIZE), 25, np.uint8), "part runs from 25"),
    ("part", np.ones((32, 32), np.uint8), r"part has shape \(32, 32\), but \(64, 64\)"),
    ("uv", np.full((2, SIZE, SIZE), np.nan, np.float16), "uv holds values that are not finite"),
    ("uv", np.full((2, SIZE, SIZE), 1.5, np.float16), "uv runs from 1.5"),
    ("box", np.array([0, 0, np.inf, 1]), "box holds values"),
    ("crop_from_image", np.eye(3), "crop_from_image has shape"),
    ("box", np.array([0.0, 0.0, -1.0, 5.0]), "box = .* a width and height above 0"),
    ("box", np.array([0.0, 0.0, 3.0, 0.0]), "box = .* a width and height above 0"),
    ("box", np.array([0.0, 1e12, 3.0, 3.0]), "box = .* no more than 1e\\+09 px"),
    ("score", -0.1, r"score = -0\.1, but 0 or more"),
    ("crop_from_image", np.zeros((2, 3)), "crop_from_image = .* can be turned back"),
]


@pytest.mark.parametrize(("field", "value", "message"), BAD_VALUES)
def test_impossible_values_are_not_written(tmp_path: Path, field: str, value: Any, message: str) -> None:
    bad = dataclasses.replace(random_prediction(4), **{field: value})
    with (
        pytest.raises(PredictionFileError, match=f"image 1, annotation 4: {message}"),
        PredictionWriter(tmp_path / "p.h5", SIZE) as writer,
    ):
        writer.write(bad)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("field", "value", "message"), [bad for bad in BAD_VALUES if "shape" not in bad[2]])
def test_impossible_values_are_not_read(
    saved: tuple[Path, list[DensePoseInstance]], field: str, value: Any, message: str
) -> None:
    path, predictions = saved
    with h5py.File(path, "a") as file:
        file[field][1] = value
    with PredictionFile(path) as opened:
        assert_equal(opened.read(1, 3), predictions[0])
        with pytest.raises(PredictionFileError, match=f"image 1, annotation 1: {message}"):
            opened.read(1, 1)


def test_a_truncated_file_is_named(saved: tuple[Path, list[DensePoseInstance]]) -> None:
    path, _ = saved
    whole = path.read_bytes()
    for share in (0.0, 0.1, 0.5, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(PredictionFileError, match=r"predictions.h5 is not a whole HDF5 file"):
            PredictionFile(path)


def test_a_damaged_chunk_is_named(saved: tuple[Path, list[DensePoseInstance]]) -> None:
    path, _ = saved
    with h5py.File(path, "r") as file:
        chunk = file["uv"].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    with PredictionFile(path) as file, pytest.raises(PredictionFileError, match="row 1 cannot be read"):
        list(file)


def test_a_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="slimdp predict --out"):
        PredictionFile(tmp_path / "none.h5")


def _delete_uv(file: h5py.File) -> None:
    del file["uv"]


def _shorten_score(file: h5py.File) -> None:
    file["score"].resize(1, axis=0)


def _repeat(file: h5py.File) -> None:
    file["annotation_id"][:] = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.update(version=2), "version 2, but 'slimdp predictions', version 1"),
        (lambda file: file.attrs.update(format="other"), "of format 'other'"),
        (lambda file: file.attrs.update(crop_size=0), "crop_size is 0"),
        (lambda file: file.attrs.update(crop_size=32), "part is uint8"),
        (_delete_uv, "uv is missing"),
        (_shorten_score, "score has 1 rows, but image_id has 3"),
        (_repeat, "holds 2 people more than once"),
    ],
)
def test_another_schema_is_refused(
    saved: tuple[Path, list[DensePoseInstance]], change: Any, message: str
) -> None:
    path, _ = saved
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(PredictionFileError, match=message):
        PredictionFile(path)
