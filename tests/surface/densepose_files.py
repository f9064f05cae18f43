"""Miniature sets of DensePose's surface files, correct in every respect but their size."""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from slimdp.surface import PEOPLE

#: Vertices along each side of a part's chart.
_SIDE = 3


@dataclass(frozen=True)
class TinyBody:
    """24 flat squares of 0.1 m beside one another, each of them a chart of 3 x 3 vertices."""

    part: np.ndarray  # (K,) of the chart vertices
    uv: np.ndarray  # (K, 2)
    vertex: np.ndarray  # (K,) from 0, of the mesh: the squares are joined, so some chart vertices share one
    place_m: np.ndarray  # (n, 2) of the mesh vertices
    faces: np.ndarray  # (F, 3) from 0, of chart vertices
    face_part: np.ndarray  # (F,)

    def distance_m(self) -> np.ndarray:
        """(n (n - 1) / 2,) in the order of the published table."""
        n = len(self.place_m)
        return np.array(
            [np.hypot(*(self.place_m[a] - self.place_m[b])) for a in range(n) for b in range(a)], np.float32
        )


def tiny_body(rng: np.random.Generator) -> TinyBody:
    """The squares, with mesh vertices in random order."""
    v, u = np.mgrid[:_SIDE, :_SIDE] / (_SIDE - 1)
    uv = np.tile(np.column_stack([u.ravel(), v.ravel()]), (len(PEOPLE.parts), 1))
    part = np.repeat(np.arange(1, len(PEOPLE.parts) + 1), _SIDE**2)
    place = 0.1 * uv + np.column_stack([0.1 * (part - 1), np.zeros(len(part))])
    places, vertex = np.unique(np.round(place, 9), axis=0, return_inverse=True)
    order = rng.permutation(len(places))
    cells = [(a, a + 1, a + 4, a + 3) for a in (0, 1, 3, 4)]
    triangles = np.array([face for a, b, c, d in cells for face in ((a, b, c), (a, c, d))])
    return TinyBody(
        part=part,
        uv=uv,
        vertex=np.argsort(order)[vertex.ravel()],
        place_m=places[order],
        faces=np.concatenate([triangles + _SIDE**2 * p for p in range(len(PEOPLE.parts))]),
        face_part=np.repeat(np.arange(1, len(PEOPLE.parts) + 1), len(triangles)),
    )


def write_surface(folder: Path, body: TinyBody) -> None:
    """All files, in the folders that the archives make, the table of distances pickled by Python 2."""
    for name in ("UV_data", "eval_data"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_charts(folder / "UV_data" / "UV_Processed.mat", body)
    write_symmetry(folder / "UV_data" / "UV_symmetry_transforms.mat")
    write_subdivided(folder / "eval_data" / "SMPL_subdiv.mat", body)
    write_transform(folder / "eval_data" / "SMPL_SUBDIV_TRANSFORM.mat", body)
    (folder / "eval_data" / "Pdist_matrix.pkl").write_bytes(python_2_pickle(body.distance_m()[:, None]))


def write_charts(path: Path, body: TinyBody, **changed: np.ndarray) -> None:
    """UV_Processed.mat; arrays by the file's keys take the place of the right ones."""
    content = {
        "All_Faces": (body.faces + 1).astype(np.uint32),
        "All_FaceIndices": body.face_part[:, None].astype(np.uint8),
        "All_U_norm": body.uv[:, :1],
        "All_V_norm": body.uv[:, 1:],
        "All_vertices": (body.vertex + 1)[None].astype(np.uint32),
    }
    scipy.io.savemat(path, content | changed)


def write_subdivided(path: Path, body: TinyBody, **changed: np.ndarray) -> None:
    """SMPL_subdiv.mat."""
    content = {
        "U_subdiv": body.uv[:, :1], "V_subdiv": body.uv[:, 1:], "Part_ID_subdiv": body.part[:, None],
    }  # fmt: skip
    scipy.io.savemat(path, content | changed, do_compression=True)


def write_transform(path: Path, body: TinyBody, index: np.ndarray | None = None) -> None:
    """SMPL_SUBDIV_TRANSFORM.mat, with the right index, from 1, or another."""
    index = body.vertex + 1 if index is None else index
    scipy.io.savemat(path, {"index": index[:, None].astype(np.float64)})


def symmetry_tables() -> np.ndarray:
    """(24, 2, 256, 256) where u becomes 1 - u on the mirrored part."""
    v, u = np.mgrid[:256, :256] / 255
    return np.tile(np.stack([1 - u, v]), (len(PEOPLE.parts), 1, 1, 1))


def write_symmetry(path: Path, tables: np.ndarray | None = None) -> None:
    """UV_symmetry_transforms.mat, from tables (24, 2, 256, 256)."""
    tables = symmetry_tables() if tables is None else tables
    content = {}
    for channel, key in enumerate(("U_transforms", "V_transforms")):
        content[key] = np.empty((1, len(tables)), dtype=object)
        content[key][0, :] = [table[channel] for table in tables]
    scipy.io.savemat(path, content, do_compression=True)


def python_2_pickle(array: np.ndarray, key: bytes = b"Pdist_matrix") -> bytes:
    """What Python 2's cPickle.dumps({key: array}, 2) gives for an array of less than 2 GB."""
    head, tail = python_2_pickle_around(array.shape, array.dtype, array.nbytes, key)
    return head + array.tobytes() + tail


def python_2_pickle_around(
    shape: tuple[int, ...], dtype: np.dtype, size: int, key: bytes = b"Pdist_matrix"
) -> tuple[bytes, bytes]:
    """What stands before and behind the bytes of the array."""
    rows, columns = shape
    kind = dtype.str[1:].encode()
    return (
        b"\x80\x02}q\x01U" + bytes([len(key)]) + key + b"q\x02cnumpy.core.multiarray\n_reconstruct\nq\x03"
        b"cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05(K\x01J"
        + struct.pack("<i", rows) + b"J" + struct.pack("<i", columns)
        + b"\x86cnumpy\ndtype\nq\x06U" + bytes([len(kind)]) + kind + b"K\x00K\x01\x87Rq\x07(K\x03U\x01"
        + dtype.str[:1].encode() + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", size)
    ), b"tb" + b"s."  # fmt: skip


def python_2_text_pickle(array: np.ndarray, key: str = "Pdist_matrix") -> bytes:
    """What Python 2's pickle.dumps({key: array}) gives: protocol 0, bytes as an escaped string."""
    escaped = repr(array.tobytes())[1:]
    rows, columns = array.shape
    return (
        f"(dp0\nS'{key}'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\n"
        f"p5\ntp6\nRp7\n(I1\n(L{rows}L\nI{columns}\ntp8\ncnumpy\ndtype\np9\n(S'{array.dtype.str[1:]}'\np10\nI0\n"
        f"I1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\nS{escaped}\np15\ntp16\nbs."
    ).encode("ascii")  # fmt: skip


def write_distances(path: Path, form: str, distance_m: np.ndarray) -> None:
    """The table in one of the forms of FORMS."""
    column = {"Pdist_matrix": distance_m[:, None]}
    if form == "npy":
        np.save(path, distance_m)
    elif form == "python 2, protocol 2":
        path.write_bytes(python_2_pickle(column["Pdist_matrix"]))
    elif form == "python 2, protocol 0":
        path.write_bytes(python_2_text_pickle(column["Pdist_matrix"]))
    elif form.startswith("python 3"):
        path.write_bytes(pickle.dumps(column, protocol=int(form[-1])))
    elif form.startswith("h5"):
        options = {"h5": {}, "h5, chunks": {"chunks": (100, 1), "compression": "gzip"}}[form]
        with h5py.File(path, "w", userblock_size=512) as file:
            file.create_dataset("Pdist_matrix", data=column["Pdist_matrix"], **options)
    else:
        scipy.io.savemat(path, column, do_compression=form == "mat 7", appendmat=False)


FORMS = {
    "npy": ".npy", "h5": ".h5", "h5, chunks": ".mat", "mat 5": ".mat", "mat 7": ".mat",
    "python 2, protocol 0": ".pkl", "python 2, protocol 2": ".pkl",
    **{f"python 3, protocol {protocol}": ".pkl" for protocol in range(6)},
}  # fmt: skip
