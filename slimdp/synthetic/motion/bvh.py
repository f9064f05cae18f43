"""Recorded motion: BVH files, and how their joints are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

#: Our joint -> names elsewhere, in lower case without spaces, "_", "-" and prefix. The first that a skeleton
#: has is taken. {side} is "left" or "l", "right" or "r". Sources: the CMU database and its conversion by
#: B. Hahne, Mixamo, LAFAN1 and Bandai-Namco's data sets, 3ds Max's Biped, Unreal's mannequin.
_MIDDLE = {
    "hips": ("hips", "hip", "pelvis", "root"),
    "chest": (
        *("spine2", "spine03", "spine3", "chest3", "chest2"),
        *("spine1", "chest", "upperchest", "torso", "spine", "abdomen"),
    ),
    "neck": ("neck1", "neck01", "neck"),
    "head": ("head",),
}
_SIDED = {
    "upperarm": ("{side}arm", "{side}upperarm", "{side}humerus", "{side}shldr", "{side}shoulder"),
    "lowerarm": ("{side}forearm", "{side}lowerarm", "{side}elbow", "{side}lowarm", "{side}radius"),
    "hand": ("{side}hand", "{side}wrist"),
    "thigh": ("{side}upleg", "{side}upperleg", "{side}thigh", "{side}femur", "{side}hip"),
    "calf": ("{side}leg", "{side}lowerleg", "{side}calf", "{side}shin", "{side}tibia", "{side}knee"),
    "foot": ("{side}foot", "{side}ankle"),
    "ball": ("{side}toebase", "{side}toes", "{side}toe", "{side}toe0", "{side}ball"),
}
#: Without these nobody can be moved.
ESSENTIAL = (
    "hips",
    *(f"{name}_{side}" for name in ("thigh", "calf", "upperarm", "lowerarm") for side in "lr"),
)


def map_joints(names: Iterable[str]) -> dict[str, str]:
    """Our joint ("hips", "thigh_l", ...) -> the skeleton's name for it, where it has one.

    Raises ValueError naming the essential joints that no name fits, and the skeleton's names.
    """
    names = list(names)
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(_plain(name), name)
    spellings = dict(_MIDDLE)
    for side, words in (("l", ("left", "l")), ("r", ("right", "r"))):
        for joint, aliases in _SIDED.items():
            # "LeftArm", and "upperarm_l" where the side comes last.
            spellings[f"{joint}_{side}"] = (
                *(alias.format(side=word) for alias in aliases for word in words),
                *(alias.format(side="") + word for alias in aliases for word in words),
            )
    known = {joint: [plain[name] for name in spelt if name in plain] for joint, spelt in spellings.items()}
    found = {joint: fitting[0] for joint, fitting in known.items() if fitting}
    if missing := [joint for joint in ESSENTIAL if joint not in found]:
        remedy = "rename the joints as Mixamo does (Hips, LeftUpLeg, LeftLeg, LeftArm, LeftForeArm, ...)"
        raise ValueError(f"no joint found for {', '.join(missing)} among {', '.join(names)}; {remedy}")
    return found


def _plain(name: str) -> str:
    """A name in lower case, without separators or prefix ("mixamorig:", "Bip01 ", "Character1_")."""
    name = name.split(":")[-1].lower()
    for separator in " _-.":
        name = name.replace(separator, "")
    for prefix in ("mixamorig", "bip01", "bip001", "character1"):
        name = name.removeprefix(prefix) if name != prefix else name
    return name


CHANNELS = ("Xposition", "Yposition", "Zposition", "Xrotation", "Yrotation", "Zrotation")
#: More is no length, place (in millimetres: a kilometre) or angle (2,777 turns) of a person who moves.
LARGEST = 1e6
#: Joints below one another; the deepest skeletons have some 20.
_DEEPEST = 200


@dataclass(frozen=True)
class Joint:
    """A joint of a BVH skeleton; the end of a chain is a joint named after its parent with " end" behind."""

    name: str
    parent: int  # -1 for the root
    offset: tuple[float, float, float]  # from the parent, in the file's unit
    channels: tuple[str, ...]  # of CHANNELS, in the order in which they are applied


@dataclass(frozen=True)
class BvhClip:
    """A recorded motion."""

    joints: tuple[Joint, ...]  # parents before children
    values: np.ndarray  # (T, C) the joints' channels one after the other: the file's unit, and degrees
    frame_seconds: float

    @property
    def seconds(self) -> float:
        """From the first frame to the last."""
        return (len(self.values) - 1) * self.frame_seconds

    @cached_property
    def local(self) -> tuple[np.ndarray, np.ndarray]:
        """Of every frame and joint: rotation (T, J, 4) as x, y, z, w, and place in the parent (T, J, 3)."""
        frames = len(self.values)
        rotations = np.zeros((frames, len(self.joints), 4))
        places = np.tile(np.array([joint.offset for joint in self.joints], dtype=float), (frames, 1, 1))
        column = 0
        for index, joint in enumerate(self.joints):
            turned = Rotation.identity(frames)
            for channel in joint.channels:
                value = self.values[:, column : column + 1]
                column += 1
                if channel.endswith("position"):
                    # As most programs do, a position takes the offset's place.
                    places[:, index, "XYZ".index(channel[0])] = value[:, 0]
                else:
                    turned = turned * Rotation.from_euler(channel[0].lower(), value, degrees=True)
            rotations[:, index] = turned.as_quat()
        return rotations, places


def read_bvh(path: Path) -> BvhClip:
    """Read a BVH file.

    Raises ValueError, with file, line and joint, for what is not BVH: truncated, unknown channels, a wrong
    number of values, values that are not finite or over `LARGEST`, no channels, no frames.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        wanted = "a BVH file (text that begins with HIERARCHY) is wanted"
        raise ValueError(f"{path}: this is no text, but {wanted}") from None
    lines = _Lines(path, text.splitlines())
    return _read_motion(lines, _read_hierarchy(lines))


class _Lines:
    """The lines of a file that are not empty, and where one is."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self._path, self._count = path, len(lines)
        self._rest: Iterator[tuple[int, list[str]]] = iter(
            [(number, words) for number, line in enumerate(lines, start=1) if (words := line.split())]
        )
        self.number = 0

    def next(self, wanted: str) -> list[str]:
        """The words of the next line; raises ValueError where the file ends."""
        number, words = next(self._rest, (0, []))
        if not words:
            where = f"{self._path}, line {self._count}"
            raise ValueError(f"{where}: the file ends where {wanted} is wanted; is it cut off?")
        self.number = number
        return words

    def error(self, problem: str) -> ValueError:
        return ValueError(f"{self._path}, line {self.number}: {problem}")

    def expect(self, *begin: str) -> list[str]:
        """The words of the next line behind its beginning; raises ValueError if it begins otherwise."""
        words = self.next(repr(" ".join(begin)))
        if [word.lower() for word in words[: len(begin)]] != [word.lower() for word in begin]:
            raise self.error(f"found {' '.join(words)[:60]!r}, but {' '.join(begin)!r} is wanted")
        return words[len(begin) :]

    def numbers(
        self, words: list[str], count: int, of: str, names: Sequence[str] | None = None
    ) -> list[float]:
        """The words as `count` numbers that may be; `names` are what each of them is."""
        if len(words) != count:
            raise self.error(f"{len(words)} values, but {count} are wanted: {of}")
        try:
            values = [float(word) for word in words]
        except ValueError as problem:
            raise self.error(f"{of}: {problem}") from None
        for index, value in enumerate(values):
            if not abs(value) <= LARGEST:  # nor NaN
                found = f"{value:g}" if np.isfinite(value) else "a value that is not finite"
                which = "" if names is None else f", the {names[index]}"
                raise self.error(f"{of}: {found}{which}; {LARGEST:g} at most is wanted")
        return values


def _read_hierarchy(lines: _Lines) -> list[Joint]:
    lines.expect("HIERARCHY")
    joints: list[Joint] = []
    open_joints: list[int] = []
    while not joints or open_joints:
        words = lines.next("a JOINT, an End Site or a }")
        kind = words[0].upper()
        if kind == "}" and open_joints:
            open_joints.pop()
        elif kind in ("ROOT", "JOINT") and len(words) >= 2 and (kind == "ROOT") == (not joints):
            joints.append(_read_joint(lines, " ".join(words[1:]), open_joints[-1] if open_joints else -1))
            open_joints.append(len(joints) - 1)
            if len(open_joints) > _DEEPEST:
                deepest = joints[-1].name
                raise lines.error(f"{deepest} is the end of more than {_DEEPEST} joints below one another")
        elif kind == "END" and open_joints:
            lines.expect("{")
            parent = open_joints[-1]
            name = joints[parent].name
            joints.append(Joint(f"{name} end", parent, _read_offset(lines, f"the end of {name}"), ()))
            lines.expect("}")
        else:
            wanted = "JOINT, End Site or }" if joints else "ROOT"
            raise lines.error(f"found {' '.join(words)[:60]!r}, but {wanted} is wanted")
    return joints


def _read_joint(lines: _Lines, name: str, parent: int) -> Joint:
    lines.expect("{")
    offset = _read_offset(lines, name)
    words = lines.expect("CHANNELS")
    known = {channel.lower(): channel for channel in CHANNELS}
    channels = tuple(known.get(word.lower(), "") for word in words[1:])
    if "" in channels:
        unknown = words[1 + channels.index("")]
        raise lines.error(f"channel {unknown!r} of {name}; there are {', '.join(CHANNELS)}")
    if words[:1] != [str(len(channels))]:
        announced = " ".join(words[:1]) or "no"
        raise lines.error(f"{name} announces {announced} channels and names {len(channels)}")
    return Joint(name, parent, offset, channels)


def _read_offset(lines: _Lines, name: str) -> tuple[float, float, float]:
    names = [f"{axis} of {name}" for axis in "xyz"]
    x, y, z = lines.numbers(lines.expect("OFFSET"), 3, "an offset x, y, z", names)
    return x, y, z


def _read_motion(lines: _Lines, joints: list[Joint]) -> BvhClip:
    lines.expect("MOTION")
    (announced,) = lines.numbers(lines.expect("Frames:"), 1, "the number of frames")
    count = int(announced)
    if count < 1 or count != announced:
        raise lines.error(f"{announced:g} frames, but a whole number of at least 1 is wanted")
    (seconds,) = lines.numbers(lines.expect("Frame", "Time:"), 1, "seconds a frame")
    if seconds <= 0:
        raise lines.error(f"{seconds:g} seconds a frame, but more than 0 are wanted")
    names = [f"{channel} of {joint.name}" for joint in joints for channel in joint.channels]
    if not names:
        raise lines.error("no joint has a channel, so nothing moves")
    rows = []
    for number in range(1, count + 1):
        of = f"frame {number} of {count}, one value a channel"
        rows.append(lines.numbers(lines.next(of), len(names), of, names))
    return BvhClip(tuple(joints), np.array(rows), seconds)
