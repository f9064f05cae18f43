"""What the names of frames say: which number counts them, and where another video begins."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from slimdp.data import AnnotationError

_NUMBER = re.compile(r"\d+")


def frame_numbers(known: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """The numbers of the frames of one video, by name: those of the number that counts them.

    Of the known names of its frames, and those `names` of all pictures of its folder, in which other videos
    may have theirs too, that differ from them by that number alone. Where no single number does, places in
    the order of names that are equal but for all of their numbers.
    """
    every = list(dict.fromkeys([*known, *names]))
    changing = _changing_columns(known)
    columns = changing if len(known) > 1 else range(len(_numbers(known[0])))
    series = [_series(known, every, column) for column in columns] if len(changing) < 2 else []
    best = max(reversed(series), key=len, default={})  # of equals, that of the last number
    if best:
        return best
    alike = {_without_numbers(name) for name in known}
    ordered = sorted(
        (name for name in every if _without_numbers(name) in alike),
        key=lambda name: ([int(number) for number in _NUMBER.findall(name)], name),
    )
    return {name: place for place, name in enumerate(ordered)}


def video_of_each(names: Sequence[str], owners: Mapping[int, str]) -> list[str | None]:
    """Which video each frame of a store's video belongs to, as an annotation file tells them apart.

    Frames of several videos may lie in one folder, and so in one video of a store. A file says of some
    frames whose they are (`owners`: the `vid_id` by index); the frames between two of one video are of that
    video, and so are those whose names differ by the counting number alone. What neither tells belongs to
    none. Raises AnnotationError where frames of two videos alternate.
    """
    listed = sorted(owners)
    _check_order(names, owners, listed)
    of_each: list[str | None] = [None] * len(names)
    for before, after in itertools.pairwise(listed):
        if owners[before] == owners[after]:
            of_each[before : after + 1] = [owners[before]] * (after + 1 - before)
    keys = _keys(names)
    for place, index in enumerate(listed):
        of_each[index] = owners[index]
        for towards, beyond in ((1, listed[place + 1 : place + 2]), (-1, listed[max(0, place - 1) : place])):
            if beyond and owners[beyond[0]] != owners[index] and keys[beyond[0]] == keys[index]:
                continue  # one video ends and the other begins somewhere between the two
            end = beyond[0] if beyond else len(names) if towards > 0 else -1
            for other in range(index + towards, end, towards):
                if keys[other] != keys[index]:
                    break
                of_each[other] = owners[index]
    return of_each


def _check_order(names: Sequence[str], owners: Mapping[int, str], listed: Sequence[int]) -> None:
    ended: dict[str, int] = {}
    for before, after in itertools.pairwise(listed):
        if owners[before] != owners[after]:
            ended[owners[before]] = before
            if owners[after] in ended:
                raise AnnotationError(
                    f"frames of the videos {owners[before]!r} and {owners[after]!r} alternate in one video "
                    f"of the flow ({names[ended[owners[after]]]}, {names[before]}, {names[after]}), so that "
                    "its steps lead from one to the other; put each video into a folder of its own and "
                    "compute the flow again"
                )


def _keys(names: Sequence[str]) -> list[str]:
    """What the frames of one video have in common: equal for all of them, or telling a few videos apart."""
    most = max(len(_numbers(name)) for name in names)
    choices = [[_masked(name, column) for name in names] for column in range(most)] or [["" for _ in names]]
    # The counting number is the one without which neighbours differ least often; of several, the last.
    keys = min(reversed(choices), key=lambda keys: sum(a != b for a, b in itertools.pairwise(keys)))
    # Where each name has a hash or a time of its own in it, names tell nothing.
    counts = Counter(keys)
    alone = sum(count == 1 for count in counts.values())
    return keys if alone <= len(counts) / 2 or len(counts) == 1 else ["" for _ in names]


def _series(known: Sequence[str], names: Sequence[str], column: int) -> dict[str, int]:
    """The names that are as the known ones but for the number in a column, and these numbers."""
    if any(len(_numbers(name)) <= column for name in known):
        return {}
    wanted = {_masked(name, column) for name in known}
    found = [name for name in names if _masked(name, column) in wanted]
    numbers = {name: int(_numbers(name)[column]) for name in found}
    return numbers if len(set(numbers.values())) == len(numbers) else {}


def _changing_columns(names: Sequence[str]) -> list[int]:
    rows = [_numbers(name) for name in names]
    if len({len(row) for row in rows}) > 1:
        return []
    return [column for column, numbers in enumerate(zip(*rows)) if len(set(numbers)) > 1]


def _numbers(name: str) -> list[str]:
    return _NUMBER.findall(PurePosixPath(name).stem)


def _masked(name: str, column: int) -> str:
    """A name without its ending, and with "#" for the number in a column."""
    stem = PurePosixPath(name).stem
    found = next(itertools.islice(_NUMBER.finditer(stem), column, None), None)
    return stem if found is None else stem[: found.start()] + "#" + stem[found.end() :]


def _without_numbers(name: str) -> str:
    return _NUMBER.sub("#", PurePosixPath(name).stem)
