"""What others call the joints: names of BVH skeletons for the joints that a motion needs."""

from __future__ import annotations

from collections.abc import Iterable

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
    found: dict[str, str] = {}
    for joint, aliases in _MIDDLE.items():
        found |= _first(plain, joint, aliases)
    for side, words in (("l", ("left", "l")), ("r", ("right", "r"))):
        for joint, aliases in _SIDED.items():
            spelt = [alias.format(side=word) for alias in aliases for word in words]
            # "LeftArm", and "upperarm_l" where the side comes last.
            spelt += [alias.format(side="") + word for alias in aliases for word in words]
            found |= _first(plain, f"{joint}_{side}", tuple(spelt))
    missing = [joint for joint in ESSENTIAL if joint not in found]
    if missing:
        raise ValueError(
            f"no joint found for {', '.join(missing)} among {', '.join(names)}; rename the joints as "
            "Mixamo does (Hips, LeftUpLeg, LeftLeg, LeftArm, LeftForeArm, ...)"
        )
    return found


def _first(plain: dict[str, str], joint: str, aliases: tuple[str, ...]) -> dict[str, str]:
    return next(({joint: plain[alias]} for alias in aliases if alias in plain), {})


def _plain(name: str) -> str:
    """A name in lower case, without separators or prefix ("mixamorig:", "Bip01 ", "Character1_")."""
    name = name.split(":")[-1].lower()
    for separator in " _-.":
        name = name.replace(separator, "")
    for prefix in ("mixamorig", "bip01", "bip001", "character1"):
        name = name.removeprefix(prefix) if name != prefix else name
    return name
