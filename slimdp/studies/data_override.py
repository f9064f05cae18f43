"""Somebody's own files in the places of those that a study names (docs/studies.md, "On your own data").

Files are given by the name of the set whose place they take, or without names in the order in which the
study's rows name their sets. That order differs from study to study, so what took whose place is always told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any, TypeVar

from pydantic import Field
from typing_extensions import Self

from flow_cache.runtime.words import listed
from slimdp.config import ConfigError
from slimdp.config.base import Many, Settings
from slimdp.studies.settings import EvaluationSettings

#: An annotation file, and the folder that its file names start at.
Files = Annotated[tuple[str, str], Field(strict=False)]
_Set = TypeVar("_Set", str, tuple[str, str])


class DataOverride(Settings):
    """Somebody's own files, in the places of those that a study names."""

    train: Many[Files] = ()  # for each set that the rows train on
    evaluate: Many[Files] = ()  # for each set that is scored; those left over are not scored
    # The names of the sets whose places they take, one each; none: in the order in which the study has them.
    train_names: Many[str] = ()
    evaluate_names: Many[str] = ()

    @classmethod
    def of_words(cls, train: Sequence[Sequence[str]], evaluate: Sequence[Sequence[str]]) -> Self:
        """As the command line has them: ANNOTATIONS and IMAGES, or NAME=ANNOTATIONS and IMAGES; raises
        ConfigError where some have a name and others have none."""
        train_names, train_files = _without_names("--data", train)
        evaluate_names, evaluate_files = _without_names("--evaluate", evaluate)
        return cls(
            train=train_files,
            evaluate=evaluate_files,
            train_names=train_names,
            evaluate_names=evaluate_names,
        )

    def names(self) -> str:
        """Of the annotation files, each once, for people: "train.json and val.json"."""
        files = dict.fromkeys(Path(annotations).name for annotations, _ in (*self.train, *self.evaluate))
        return " and ".join(files)

    def words(self) -> list[str]:
        """As the command line has it."""
        words = []
        for option, sets, names in (
            ("--data", self.train, self.train_names),
            ("--evaluate", self.evaluate, self.evaluate_names),
        ):
            for place, (file, images) in enumerate(sets):
                words += [option, f"{names[place]}={file}" if names else file, images]
        return words

    def training_places(
        self, rows: Mapping[str, dict[str, Any]], chosen: Collection[str]
    ) -> dict[Files, Files]:
        """The study's sets in the order in which its rows name them -> what takes their places.

        Args:
            rows: the plain settings of all rows, by name.
            chosen: the rows whose sets must all be replaced; those of the others may.

        Raises:
            ConfigError: another number of files than of sets, a name that is none of a set's, or of two, or
                a set of the chosen rows that got no files.
        """
        if not self.train:
            return {}
        wanted = set(sets_of(values for name, values in rows.items() if name in chosen))
        theirs = sets_of(rows.values())
        if self.train_names:
            called = {files: (files[0], PurePath(files[0]).name, PurePath(files[0]).stem) for files in theirs}
            places = _by_name("--data", self.train_names, self.train, called, set_names(theirs))
            lacking = [files for files in theirs if files in wanted and files not in places]
            if lacking:
                names = ", ".join(set_names(theirs)[files] for files in lacking)
                raise ConfigError(
                    f"--data was not given for {names}, which the rows train on too: add --data "
                    f"{set_names(theirs)[lacking[0]]}=ANNOTATIONS IMAGES"
                )
            return {files: places[files] for files in theirs if files in places}
        # Those of all rows may be given though few rows are chosen; then they mean the same as for all.
        order = theirs if len(theirs) == len(self.train) else [each for each in theirs if each in wanted]
        if len(order) != len(self.train):
            some = "the rows train" if len(chosen) == len(rows) else "the chosen rows train"
            listed_sets = "".join(f"\n  {annotations} in {images}" for annotations, images in order)
            example = f"{set_names(theirs)[order[0]]}=ANNOTATIONS IMAGES" if order else "ANNOTATIONS IMAGES"
            raise ConfigError(
                f"--data was given {len(self.train)} times, but the sets that {some} on are {len(order)}; "
                f"give it for each, by name (--data {example}) or in the order of these:{listed_sets}"
            )
        return dict(zip(order, self.train))

    def evaluation_places(self, theirs: Mapping[str, EvaluationSettings]) -> dict[str, Files]:
        """The names of the sets to score on, in the study's order -> what takes their places; ConfigError for
        more files than sets, or a name that is none of a set's, or of two."""
        if self.evaluate_names:
            called = {name: _names_of_scored(name, each) for name, each in theirs.items()}
            shown = {name: names[0] for name, names in called.items()}
            places = _by_name("--evaluate", self.evaluate_names, self.evaluate, called, shown)
            return {name: places[name] for name in theirs if name in places}
        if len(self.evaluate) > len(theirs):
            there = f"the sets that the study scores on are {len(theirs)}"
            raise ConfigError(f"--evaluate was given {len(self.evaluate)} times, but {there}")
        return dict(zip(theirs, self.evaluate))

    def named(
        self,
        training: Mapping[Files, Files],
        evaluation: Mapping[str, Files],
        every: Sequence[Files],
        several_scored: bool,
    ) -> Self:
        """The same by names where a study has several sets, so that no choice of rows reads it otherwise.

        Args:
            training, evaluation: of `training_places` and `evaluation_places`.
            every: all sets that rows of the study train on.
            several_scored: whether the study has several sets that it scores on.
        """
        short = set_names(every)
        by_name = len(every) > 1 and len(set(short.values())) == len(short)
        changes: dict[str, Any] = {}
        if training and by_name:
            names = tuple(short[files] for files in training)
            changes |= {"train": tuple(training.values()), "train_names": names}
        if evaluation and several_scored:
            changes |= {"evaluate": tuple(evaluation.values()), "evaluate_names": tuple(evaluation)}
        return self.replace(**changes)


def _without_names(
    option: str, given: Sequence[Sequence[str]]
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The names in some pairs of a command line, and the files; a file that is there may have a = itself."""
    names, files = [], []
    for file, images in given:
        name, equals, rest = file.partition("=")
        has_name = bool(name and equals) and not Path(file).exists()
        names += [name] if has_name else []
        files.append((rest if has_name else file, images))
    if names and len(names) < len(files):
        raise ConfigError(
            f"{option} was given {len(files)} times, but {len(names)} times with a name; give all of them a "
            f"name, {option} NAME=ANNOTATIONS IMAGES, or none"
        )
    return tuple(names), tuple(files)


def _by_name(
    option: str,
    names: Sequence[str],
    own: Sequence[Files],
    called: Mapping[_Set, Sequence[str]],
    shown: Mapping[_Set, str],
) -> dict[_Set, Files]:
    """The sets that some names are of -> own files; `called` has all names of each set, `shown` the best."""
    places: dict[_Set, Files] = {}
    for name, files in zip(names, own, strict=True):
        found = [each for each, theirs in called.items() if name in theirs]
        here = f"{option} {name}={files[0]}"
        if len(found) != 1:
            count = "several sets" if found else "no set"
            there = listed(shown.values(), name)
            raise ConfigError(f"{here}: the study has {count} of this name; there are: {there}")
        if found[0] in places:
            raise ConfigError(f"{here}: files for this set were given before: {places[found[0]][0]}")
        places[found[0]] = files
    return places


def _names_of_scored(name: str, settings: EvaluationSettings) -> tuple[str, ...]:
    file = PurePath(settings.annotations)
    return tuple(filter(None, (name, file.stem, file.name, settings.annotations)))


def set_names(sets: Collection[Files]) -> dict[Files, str]:
    """The shortest name of each set that no other has, where there is one: of its file, without its suffix,
    with it, or with its folders."""
    found = {}
    stems = Counter(PurePath(annotations).stem for annotations, _ in sets)
    names = Counter(PurePath(annotations).name for annotations, _ in sets)
    for files in sets:
        file = PurePath(files[0])
        unique = file.stem if stems[file.stem] == 1 else file.name if names[file.name] == 1 else files[0]
        found[files] = unique
    return found


def sources_of(values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The data of a row's stages by their keys; what is no such thing is left for the settings to refuse."""
    stages = values.get("stages")
    for i, stage in enumerate(stages if isinstance(stages, list) else ()):
        data = stage.get("data") if isinstance(stage, dict) else None
        for j, source in enumerate(data if isinstance(data, list) else ()):
            if isinstance(source, dict) and {"annotations", "images"} <= source.keys():
                yield f"stages.{i}.data.{j}", source


def sets_of(rows: Any) -> list[Files]:
    """The sets that plain settings of some rows train on, each once, in the order in which they name them."""
    return list(dict.fromkeys(files_of(source) for values in rows for _, source in sources_of(values)))


def files_of(source: Mapping[str, Any]) -> Files:
    """The annotation file of a source, and its folder of pictures."""
    return str(source["annotations"]), str(source["images"])


def replace_files(values: dict[str, Any], places: Mapping[Files, Files], scored: Files | None) -> None:
    """Let a row's plain settings name other labels, in place.

    Where training is watched by scores, these are of the people who are scored at its end: `scored`, unless
    it is None.
    """
    if scored is not None and isinstance(values.get("validation"), dict):
        values["validation"]["data"] = [dict(zip(("annotations", "images"), scored))]
    for _, source in sources_of(values):
        theirs = files_of(source)
        source["annotations"], source["images"] = places.get(theirs, theirs)


#: What is kept of a budget by a share, which people may have chosen with a set in mind.
_SHARES = ("images", "points")
#: The key of a share -> the share, and the annotation file that it is of.
Shares = Mapping[str, tuple[float, str]]


def shares_of(values: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """The shares of labels that a row's plain settings keep, of those that keep some and leave some out."""
    found = {}
    for key, source in sources_of(values):
        budget = source.get("budget")
        kept = budget if isinstance(budget, dict) else {}
        for name in _SHARES:
            share = kept.get(name)
            if isinstance(share, (int, float)) and 0 < share < 1:
                found[f"{key}.budget.{name}"] = (float(share), str(source["annotations"]))
    return found


def tell_shares(before: Mapping[str, Shares], now: Mapping[str, Shares]) -> list[str]:
    """Which shares of rows, by name, are of another file now, though nobody chose them for it: a line for
    each file that took the place of another one, for people."""
    kept: dict[tuple[str, str], list[tuple[str, str, float]]] = {}
    for row, shares in before.items():
        for key, (share, theirs) in shares.items():
            mine = now[row].get(key)
            if mine is not None and mine[0] == share and mine[1] != theirs:
                kept.setdefault((theirs, mine[1]), []).append((row, key, share))
    lines = []
    for (theirs, own), found in kept.items():
        named = ", ".join(f"{row} ({key.rpartition('.')[2]}: {share:g})" for row, key, share in found)
        example = f"--set {found[0][0]}:{found[0][1]}=SHARE"
        lines.append(
            f"shares chosen for {theirs} are now taken of {own}: {named}; to choose another: {example}"
        )
    return lines
