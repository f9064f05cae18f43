"""A study on somebody's own data: other files in the places of those that the study names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimdp.config import ConfigError

#: An annotation file, and the folder that its file names start at.
Files = tuple[str, str]


@dataclass(frozen=True)
class OwnData:
    """What takes the places of a study's files."""

    train: tuple[Files, ...] = ()  # for each set that the rows train on, in the order in which they name them
    evaluate: tuple[Files, ...] = ()  # for each set that is scored; those left over are not scored

    def names(self) -> str:
        """Of the annotation files, each once, for people: "train.json and val.json"."""
        files = dict.fromkeys(Path(annotations).name for annotations, _ in (*self.train, *self.evaluate))
        return " and ".join(files)

    def words(self) -> list[str]:
        """As the command line has it."""
        named = [("--data", self.train), ("--evaluate", self.evaluate)]
        return [word for option, sets in named for files in sets for word in (option, *files)]


def replace_trained(rows: Sequence[dict[str, Any]], own: OwnData) -> None:
    """Let the plain settings of all rows name other labels, in place.

    Raises:
        ConfigError: the rows train on another number of sets.
    """
    if not own.train:
        return
    sources = [source for values in rows for source in _sources(values)]
    theirs = list(dict.fromkeys(_files(source) for source in sources))
    if len(theirs) != len(own.train):
        listed = "".join(f"\n  {annotations} in {images}" for annotations, images in theirs)
        raise ConfigError(
            f"--data was given {len(own.train)} times, but the sets that the rows train on are "
            f"{len(theirs)}; give it for each, in the order of these:{listed}"
        )
    places = dict(zip(theirs, own.train))
    for source in sources:
        source["annotations"], source["images"] = places[_files(source)]


def replace_validated(rows: Sequence[dict[str, Any]], own: OwnData) -> None:
    """Where training is watched by scores, let that be on the people who are scored at its end, in place."""
    for values in rows:
        if own.evaluate and isinstance(values.get("validation"), dict):
            annotations, images = own.evaluate[0]
            values["validation"]["data"] = [{"annotations": annotations, "images": images}]


def replace_evaluated(theirs: Mapping[str, Any], own: OwnData) -> dict[str, Any]:
    """The plain settings of the sets to score on, by name; those that the own ones leave over are gone.

    Raises:
        ConfigError: there are fewer.
    """
    if not own.evaluate:
        return dict(theirs)
    if len(own.evaluate) > len(theirs):
        raise ConfigError(
            f"--evaluate was given {len(own.evaluate)} times, but the sets that the study scores on are "
            f"{len(theirs)}"
        )
    return {
        name: {**theirs[name], "annotations": annotations, "images": images}
        for name, (annotations, images) in zip(theirs, own.evaluate)
    }


def _sources(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The data of a row's stages; what is no such thing is left for the settings to refuse."""
    stages = values.get("stages")
    for stage in stages if isinstance(stages, list) else ():
        data = stage.get("data") if isinstance(stage, dict) else None
        for source in data if isinstance(data, list) else ():
            if isinstance(source, dict) and {"annotations", "images"} <= source.keys():
                yield source


def _files(source: Mapping[str, Any]) -> Files:
    return str(source["annotations"]), str(source["images"])
