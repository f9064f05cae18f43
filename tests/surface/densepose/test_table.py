from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from slimdp.surface.densepose.numbers import MappedNumbers
from slimdp.surface.densepose.table import KEY, open_distances
from tests.surface.densepose_files import FORMS, tiny_body, write_distances


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIMDP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "distances"


def square(count: int) -> np.ndarray:
    """All distances (count, count) that `made_up` condenses."""
    table = np.zeros((count, count))
    for a in range(count):
        for b in range(a):
            table[a, b] = table[b, a] = (1 + a * (a - 1) // 2 + b) / 1000
    return table


def made_up(count: int) -> np.ndarray:
    return np.arange(1, count * (count - 1) // 2 + 1, dtype=np.float32) / 1000


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_form_gives_the_distances_of_the_body(tmp_path: Path, form: str, dtype: type) -> None:
    body = tiny_body(np.random.default_rng(0))
    path = tmp_path / f"Pdist_matrix{FORMS[form]}"
    write_distances(path, form, body.distance_m().astype(dtype))
    table = open_distances(path)
    a, b = np.divmod(np.arange(table.vertices**2), table.vertices)
    expected = np.hypot(*(body.place_m[a] - body.place_m[b]).T)
    np.testing.assert_allclose(table.between(a, b), expected, atol=1e-6)
    assert table.vertices == len(body.place_m)


@pytest.mark.parametrize("few", [0, 10**9])
def test_look_ups_in_any_order_agree_with_a_full_table(
    tmp_path: Path, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slimdp.surface.densepose.numbers._FEW", few)  # in bulk, or one by one
    monkeypatch.setattr("slimdp.surface.densepose.numbers._BROUGHT_IN", 64)
    monkeypatch.setattr("slimdp.surface.densepose.numbers._PLACES_KEPT", 3)
    path, count = tmp_path / "Pdist_matrix.pkl", 100
    write_distances(path, "python 3, protocol 3", made_up(count))
    table, expected, rng = open_distances(path), square(count), np.random.default_rng(0)
    assert table.numbers.offset % 4  # numbers need not begin where words do
    for size in (0, 1, 2, 7, 500, 5000):
        a, b = rng.integers(count, size=(2, size))
        np.testing.assert_allclose(table.between(a, b), expected[a, b], rtol=1e-6)
    again = pickle.loads(pickle.dumps(table))
    np.testing.assert_allclose(again.between(a, b), expected[a, b], rtol=1e-6)


def test_only_what_does_not_lie_plainly_is_written_out_and_only_once(tmp_path: Path, own_cache: Path) -> None:
    path = tmp_path / "Pdist_matrix.pkl"
    write_distances(path, "python 3, protocol 4", made_up(20))
    assert open_distances(path).numbers.path == path
    assert not own_cache.exists()
    write_distances(path, "python 3, protocol 2", made_up(20))
    first = open_distances(path).numbers.path
    made = first.stat().st_mtime_ns
    assert open_distances(path).numbers.path == first
    assert first.stat().st_mtime_ns == made
    # Another file of the same name takes its place.
    write_distances(path, "python 3, protocol 2", made_up(30))
    assert open_distances(path).vertices == 30
    assert len(list(own_cache.iterdir())) == 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-0.1, "-0.1"), (85.0, "85")])
def test_what_is_no_distance_is_refused_with_its_entry(
    tmp_path: Path, own_cache: Path, form: str, value: float, shown: str
) -> None:
    distance_m = made_up(30)
    distance_m[17] = value
    path = tmp_path / f"Pdist_matrix{FORMS[form]}"
    write_distances(path, form, distance_m)
    with pytest.raises(
        ValueError, match=rf"Pdist_matrix\{FORMS[form]}: entry 17 of Pdist_matrix is {shown},"
    ):
        open_distances(path)
    assert not own_cache.exists() or not list(own_cache.iterdir())


def test_what_the_first_look_misses_is_found_when_it_is_asked_for(tmp_path: Path) -> None:
    distance_m = np.full(1000 * 999 // 2, 0.5, np.float32)
    distance_m[10] = np.nan  # between vertices 5 and 0
    np.save(tmp_path / "Pdist_matrix.npy", distance_m)
    table = open_distances(tmp_path / "Pdist_matrix.npy")
    assert table.between(np.array([4]), np.array([0])).tolist() == [0.5]
    with pytest.raises(ValueError, match=r"npy: entry 10 of Pdist_matrix is nan"):
        table.between(np.array([1, 0]), np.array([0, 5]))
    with pytest.raises(ValueError, match=r"vertices 0\.\.1000 asked for, .* has 0\.\.999"):
        table.between(np.array([0]), np.array([1000]))
    with pytest.raises(ValueError, match=r"vertices -2\.\.3 asked for"):
        table.between(np.array([3]), np.array([-2]))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("distance_m", "error"),
    [
        (np.ones(100, np.float32), "has 100 entries, which are not the pairs"),
        (np.zeros(105, np.float32), "105 of 105 entries of Pdist_matrix that were looked at are 0"),
        (np.ones(105, np.int32), r"holds int32|no array|holds int32, but floats"),
        (np.zeros(0, np.float32), r"shape \(0(, 1)?,?\), but a vector|no array needs"),
    ],
)
def test_wrong_tables_are_refused_in_every_form(
    tmp_path: Path, form: str, distance_m: np.ndarray, error: str
) -> None:
    if form == "h5, chunks" and not len(distance_m):
        pytest.skip("HDF5 has no such chunks")
    path = tmp_path / f"Pdist_matrix{FORMS[form]}"
    write_distances(path, form, distance_m)
    with pytest.raises(ValueError, match=error):
        open_distances(path)


@pytest.mark.parametrize("form", list(FORMS))
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, form: str, own_cache: Path) -> None:
    path = tmp_path / f"Pdist_matrix{FORMS[form]}"
    write_distances(path, form, made_up(60))
    whole = path.read_bytes()
    for length in np.linspace(0, len(whole) - 2, 40).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=rf"Pdist_matrix\{FORMS[form]}"):
            open_distances(path)
    assert not own_cache.exists() or not list(own_cache.iterdir())


def test_hdf5_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "Pdist_matrix.h5", tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file[KEY] = made_up(20)
    (tmp_path / "raw").write_bytes(made_up(20).tobytes())

    def external(file: h5py.File) -> None:
        file[KEY] = h5py.ExternalLink("other.h5", KEY)

    def soft(file: h5py.File) -> None:
        file["a"] = made_up(20)
        file[KEY] = h5py.SoftLink("/a")

    def raw(file: h5py.File) -> None:
        file.create_dataset(KEY, (190,), np.float32, external=[("raw", 0, 760)])

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((190,), np.float32)
        layout[:] = h5py.VirtualSource("other.h5", KEY, (190,))
        file.create_virtual_dataset(KEY, layout)

    def group(file: h5py.File) -> None:
        file.create_group(KEY)

    def square_table(file: h5py.File) -> None:
        file[KEY] = np.ones((20, 20), np.float32)

    def strings(file: h5py.File) -> None:
        file[KEY] = ["a", "b", "c"]

    def large_chunks(file: h5py.File) -> None:
        file.create_dataset(KEY, (1 << 26,), np.float32, chunks=(1 << 26,))

    def nothing(file: h5py.File) -> None:
        file["Pdist"] = 1

    for make, error in (
        (external, "a link to another place, which is not followed"),
        (soft, "a link to another place"),
        (raw, "lie in other files, which are not read"),
        (virtual, "lie in other files, which are not read"),
        (group, "Pdist_matrix is no dataset of numbers"),
        (square_table, r"shape \(20, 20\), but a vector is wanted"),
        (strings, "holds object, but floats are wanted"),
        (large_chunks, "stored in chunks .* more than 128 MB each: not read"),
        (nothing, "no dataset Pdist_matrix; there are: Pdist"),
    ):
        with h5py.File(path, "w") as file:
            make(file)
        with pytest.raises(ValueError, match=rf"Pdist_matrix\.h5: .*{error}"):
            open_distances(path)


def test_matlab_files_without_a_proper_table_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "Pdist_matrix.mat"
    for content, error in (
        ({"other": 1}, "no variable Pdist_matrix; there are: other"),
        ({KEY: np.ones((15, 14))}, r"shape \(15, 14\), but a vector"),
        ({KEY: {"a": np.ones(105)}}, "holds struct, but floats"),
        ({KEY: np.ones(105) + 1j}, "holds double, but floats"),
        ({KEY: "text"}, "holds char, but floats"),
    ):
        scipy.io.savemat(path, content)
        with pytest.raises(ValueError, match=rf"Pdist_matrix\.mat: .*{error}"):
            open_distances(path)


def test_numpy_files_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "Pdist_matrix.npy"
    np.save(path, np.array([{"a": 1}] * 3, dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="holds object, but floats are wanted"):
        open_distances(path)
    np.save(path, np.ones((4, 4)))
    with pytest.raises(ValueError, match=r"shape \(4, 4\), but a vector"):
        open_distances(path)


def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "Pdist_matrix.pkl"
    write_distances(path, "python 3, protocol 2", made_up(20))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10**6}))
    with pytest.raises(ValueError, match=r"has 0\.0 GB free, .* need 0\.0 GB .* SLIMDP_CACHE"):
        open_distances(path)
    assert not list(own_cache.iterdir())


_CHILD = """
import sys
from pathlib import Path
import numpy as np
from slimdp.surface.densepose.numbers import MappedNumbers

def peak_mb():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

count = 300 * 2**18
numbers = MappedNumbers(Path(sys.argv[1]), np.dtype(np.float32), 0, count)
rng = np.random.default_rng(0)
before = peak_mb()
for size in [20_000] * 3 + [100] * 50:
    assert (numbers[rng.integers(count, size=size)] == 0).all()
print(peak_mb() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_pages_that_were_looked_up_do_not_pile_up(tmp_path: Path) -> None:
    with open(tmp_path / "table", "wb") as file:
        file.truncate(300 << 20)  # nothing is written: the file has a hole of 300 MB
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "table")]
    root = Path(__file__).resolve().parents[3]
    more_mb = float(subprocess.run(command, check=True, capture_output=True, text=True, cwd=root).stdout)
    assert more_mb < 120
    # The whole table would have been 300.


def test_what_became_shorter_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "Pdist_matrix.npy"
    np.save(path, made_up(60))
    table = open_distances(path)
    with open(path, "r+b") as file:
        file.truncate(1000)
    with pytest.raises(ValueError, match="became shorter"):
        table.between(np.array([59]), np.array([58]))
    assert isinstance(table.numbers, MappedNumbers)
