"""What a study file says (docs/studies.md): rows, whom they are scored on, columns, groups, figures, grid."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import core_schema
from typing_extensions import Self

from flow_cache.runtime.words import PLAIN_NAME_WORDS, is_plain_name, listed
from slimdp.config import ConfigError, Settings
from slimdp.config.base import Count, Many, Wanted, within
from slimdp.evaluation import describe_score
from slimdp.inference.multi_scale import ONE_SCALE
from slimdp.registry import import_modules
from slimdp.settings_file import set_key

#: Where stages are trained, unless told otherwise, and where jobs keep their logs: beside the folders of the
#: rows, which therefore have other names.
SHARED, JOBS = "shared", "jobs"
#: What is known of a row without being told: of its network, and of its labels.
STACKS, CLICKS, HOURS = "stacks", "clicks", "hours"
AXIS_TITLES = {STACKS: "stacks", CLICKS: "clicks", HOURS: "annotator hours"}
MOST_CURVES = 7
#: Where a curve of the ratio of correct points is drawn, cm, with the scores there, and the areas beneath it.
RCP_CM = (1.0, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 12.5, 15.0, 20.0, 25.0, 30.0)
RCP_SCORES = tuple(f"points.localization.{cm:g}cm" for cm in RCP_CM)
RCP_AREAS = {name: f"points.localization.{name}" for name in ("auc10", "auc30")}
#: Row -> column -> score, mostly of the paper, in the unit of the column.
Scores = Mapping[str, Mapping[str, float]]
#: Axis -> option -> settings key, as for `--set` -> value; "title" says what the option is.
Grid = Mapping[str, Mapping[str, Mapping[str, Any]]]


def _is_score(name: str) -> bool:
    try:
        describe_score(name)
    except ConfigError as error:  # which does not know the key
        raise ValueError(str(error)) from None
    return True


_Line = Annotated[str, Wanted("one line of words", lambda text: text == text.strip() and "\n" not in text)]


class _ShortOrWhole(Settings):
    """Settings for which the value of their first key may stand alone."""

    @model_validator(mode="before")
    @classmethod
    def _from_short(cls, values: Any) -> Any:
        return {next(iter(cls.model_fields)): values} if isinstance(values, str) else values

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


class RowSettings(_ShortOrWhole):
    """A row of the table; its name, the key, names its folder."""

    settings: str  # its settings file, relative to the study's
    title: _Line = ""  # what readers see: "labels propagated by RAFT"; "": its name
    # The row whose network finds the people that this one looks at, with its scores; "": none, so that a
    # network looks at whom it finds itself, or in the boxes of the annotations.
    boxes_of: str = ""
    # The row whose network labels the people of this one's stages that have a `teacher`, in the place of
    # `stages.N.teacher.weights`; "": those.
    taught_by: str = ""
    # Of the pictures or crops that its network looks at, one after another, whose answers are fused when the
    # row is scored (docs/networks.md).
    scales: Annotated[Many[Annotated[float, within(0.1, 8)]], Wanted("one number or more", bool)] = ONE_SCALE


class ColumnSettings(_ShortOrWhole):
    """A column of the table."""

    score: Annotated[str, Wanted("the name of a score", _is_score)]  # docs/evaluation.md lists them
    title: _Line = ""  # "": that of the score

    @property
    def full_score(self) -> str:
        """The same where what the network calls background is wrong, as far as there is such a score."""
        return self.score.replace("points.localization.", "points.full.")

    @property
    def heading(self) -> str:
        """What stands over it: "10 cm"."""
        return self.title or describe_score(self.score).title

    @property
    def unit(self) -> str:
        return describe_score(self.score).unit

    @property
    def is_accuracy(self) -> bool:
        """Whether it is a percentage of which more is better."""
        return self.unit == "%" and describe_score(self.score).higher_is_better

    @property
    def words(self) -> str:
        """What it holds, without its unit: "points within 10 cm"."""
        within = "points within " if not self.title and self.score.endswith("cm") else ""
        return f"{within}{self.heading}"

    @property
    def axis(self) -> str:
        """What it holds, with its unit: "points within 10 cm, %"."""
        return f"{self.words}, {self.unit}" if self.unit else self.words

    @property
    def form(self) -> str:
        """How its numbers are written, of `format`."""
        return ".1f" if self.unit == "%" else ".3g"

    def told(self, score: float) -> str:
        return f"{score:{self.form}}"

    def best(self, scores: Sequence[float]) -> float:
        return max(scores) if describe_score(self.score).higher_is_better else min(scores)


#: Those of the tables of Slim DensePose.
COLUMNS = {f"{cm}cm": ColumnSettings(score=f"points.localization.{cm}cm") for cm in (5, 10, 20)}


class EvaluationSettings(Settings):
    """Who is scored, with the averaged weights of each run's last stage."""

    annotations: str
    images: str
    paper: Scores = Field(default_factory=dict)  # the paper's numbers on such a set


class RowGroup(Settings):
    """Rows that stand together under a title and are compared with one of them."""

    title: str
    baseline: str
    rows: Many[str]


class FigureSettings(Settings):
    """Scores of rows over a number, as curves with their spread over the seeds."""

    title: str
    x: str  # stacks, clicks, hours, or the title of an axis whose numbers `at` tells
    curves: Mapping[str, Many[str]]  # name in the legend -> rows
    at: Mapping[str, float] = Field(default_factory=dict)  # row -> number
    log: bool = False  # numbers a factor apart at equal distances
    scored_on: str = ""  # the name of one of the study's several sets; "": the first
    paper: bool = False  # the paper's numbers too, of the curves of which it has all rows

    @property
    def axis(self) -> str:
        """The title of its axis of numbers."""
        return AXIS_TITLES.get(self.x, self.x)

    @property
    def rows(self) -> tuple[str, ...]:
        """Of all curves, each once."""
        return tuple(dict.fromkeys(row for rows in self.curves.values() for row in rows))


class RcpSettings(Settings):
    """Curves of the ratio of correct points over the distance (DensePose, figures 10 and 11)."""

    rows: Many[str]
    people: Mapping[str, float] = Field(default_factory=dict)  # the paper's areas of its annotators, %


class _OneOrByName:
    """A set to score on, or several by their names; the name of a single one is ""."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.no_info_before_validator_function(self._by_name, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        several = handler(schema)
        return {"anyOf": [several["additionalProperties"], several]}

    def _by_name(self, values: Any) -> Any:
        one = isinstance(values, Mapping) and values.keys() & {"annotations", "images"}
        return {"": EvaluationSettings.model_validate(values)} if one else values


class StudySettings(Settings):
    """A study file."""

    MOVED: ClassVar[Mapping[str, str]] = {"about": "rows.ROW.title, beside rows.ROW.settings"}

    title: str
    imports: Many[str] = ()  # modules that register metrics of their own (`slimdp.registry`)
    # Whom to score on, or several sets by name; the first one is what the study is about.
    evaluate: Annotated[Mapping[str, EvaluationSettings], _OneOrByName()]
    # By name, in the order of the table; the name of a file alone stands for its `settings`.
    rows: Mapping[str, RowSettings] = Field(default_factory=dict)
    base: str = ""  # the settings file that the grid changes
    grid: Grid = Field(default_factory=dict)  # its rows come after `rows`
    seeds: Many[Count] = (0, 1, 2)
    people: str = ""  # whom it is about, after the title; a user's own files take its place
    # A score alone stands for a column of it.
    columns: Mapping[str, ColumnSettings] = Field(default_factory=lambda: COLUMNS)
    paper: Scores = Field(default_factory=dict)  # the paper's numbers, "localization only"
    paper_full: Scores = Field(default_factory=dict)  # where what is taken for background is wrong
    figures: Many[FigureSettings] = ()  # curves that `slimdp report` draws, and `slimdp advise` reads
    rcp: RcpSettings | None = None  # curves of the ratio of correct points that `slimdp report` draws
    groups: Many[RowGroup] = ()  # in the table's order; none: all are compared with the first row

    @model_validator(mode="before")
    @classmethod
    def _import(cls, values: Any) -> Any:
        """Import modules before the columns look for their metrics."""
        if isinstance(values, Mapping) and isinstance(values.get("imports"), list):
            import_modules(values["imports"])
        return values

    @property
    def names(self) -> list[str]:
        """Of all rows, those of the grid last."""
        return [*self.rows, *grid_names(self.grid)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_grid(self.grid)
        if bool(self.grid) != bool(self.base):
            raise ConfigError(
                f"base = {self.base!r}, grid = {{{', '.join(self.grid)}}}: one changes the other; give both"
            )
        names = self.names
        if not names:
            raise ConfigError("no rows and no grid, but one row or more is wanted")
        for name in names:
            if not is_plain_name(name) or name in (SHARED, JOBS):
                wanted = f"{PLAIN_NAME_WORDS} are wanted, and not {SHARED!r} or {JOBS!r}"
                raise ConfigError(f"rows.{name}: a row names a folder: {wanted}")
            if names.count(name) > 1:
                way_out = "rename one, or an option of the grid"
                raise ConfigError(f"rows.{name}: two rows have this name; {way_out}")
        if not self.columns:
            raise ConfigError("columns = {}, but one column or more is wanted: name: score")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"seeds = {list(self.seeds)}, but numbers of 0 or more that differ are wanted")
        for name, row in self.rows.items():
            check_finder(name, row.boxes_of, {each: of.boxes_of for each, of in self.rows.items()}, names)
            check_teacher(name, row.taught_by, {each: of.taught_by for each, of in self.rows.items()}, names)
        check_figures(self.figures, names, self._papers())
        check_groups(self.groups, names)
        if self.rcp is not None:
            check_rcp(self.rcp, names)
        return self

    def _papers(self) -> dict[str, Scores]:
        """The paper's numbers by set, the first one first; raises ConfigError for unknown names."""
        if not self.evaluate:
            raise ConfigError("evaluate = {}, but a set to score on is wanted: annotations, images")
        papers = {place: settings.paper for place, settings in self.evaluate.items()}
        for place in papers:
            if place and not is_plain_name(place):
                raise ConfigError(f"evaluate.{place}: a set names files: {PLAIN_NAME_WORDS} are wanted")
        of_sets = {f"evaluate.{place}.paper": paper for place, paper in papers.items()}
        for key, paper in {"paper": self.paper, "paper_full": self.paper_full, **of_sets}.items():
            for name, by_column in paper.items():
                require_known(key, name, self.names)
                for column in by_column:
                    require_known(f"{key}.{name}", column, list(self.columns))
        first = next(iter(papers))
        return {**papers, first: self.paper or papers[first]}


def require_known(key: str, name: str, choices: Sequence[str]) -> None:
    """Raise ConfigError for a name that is none of some choices."""
    if name not in choices:
        raise ConfigError(f"unknown key {key}.{name}; there are: {listed(choices, name)}")


def check_rcp(rcp: RcpSettings, names: Sequence[str]) -> None:
    """Raise ConfigError unless the curves are of some rows of the study that can be told apart."""
    if not 1 <= len(rcp.rows) <= MOST_CURVES:
        raise ConfigError(f"rcp.rows = {list(rcp.rows)}, but 1 to {MOST_CURVES} rows are wanted")
    for row in rcp.rows:
        require_known("rcp.rows", row, names)
    for area in rcp.people:
        require_known("rcp.people", area, list(RCP_AREAS))


def check_finder(row: str, finder: str, finders: Mapping[str, str], names: Sequence[str]) -> None:
    """Raise ConfigError unless the row that finds people for another one, if there is one, finds its own;
    `finders` has those of all rows, "" for none."""
    told, remedy = "looks at the people of", "name a row whose own network finds them"
    _check_serving_row(f"rows.{row}.boxes_of", finder, finders, names, told, remedy)


def check_teacher(row: str, teacher: str, teachers: Mapping[str, str], names: Sequence[str]) -> None:
    """Raise ConfigError unless the row that teaches another one, if there is one, is taught by nobody;
    `teachers` has those of all rows, "" for none."""
    told, remedy = "is taught by", "name a row that nobody teaches"
    _check_serving_row(f"rows.{row}.taught_by", teacher, teachers, names, told, remedy)


def _check_serving_row(
    key: str, serving: str, of_all: Mapping[str, str], names: Sequence[str], told: str, remedy: str
) -> None:
    """Raise ConfigError unless the row that serves another one, if there is one, is served by none itself."""
    if not serving:
        return
    require_known(key, serving, names)
    if of_all.get(serving):
        raise ConfigError(f"{key} = {serving!r}, which {told} {of_all[serving]!r}; {remedy}")


def check_groups(groups: Sequence[RowGroup], names: Sequence[str]) -> None:
    """Raise ConfigError unless every row of a study is in one group, and every baseline in its own."""
    known: dict[str, str] = {}  # row -> the title of its group
    titles = [group.title for group in groups]
    for index, group in enumerate(groups):
        place = f"groups.{index}"
        if not group.title.strip() or titles.count(group.title) > 1:
            raise ConfigError(f"{place}: title = {group.title!r}, but titles that differ are wanted")
        for row in group.rows:
            if row not in names:
                raise ConfigError(f"{place}.rows: unknown row {row}; there are: {listed(names, row)}")
            if row in known:
                raise ConfigError(
                    f"{place}.rows: row {row} is in {known[row]!r} already, but a row is in one group"
                )
            known[row] = group.title
        if group.baseline not in group.rows:
            wanted = f"one of the group's own rows is wanted: {', '.join(group.rows)}"
            raise ConfigError(f"{place}: baseline = {group.baseline!r}, but {wanted}")
    left_over = [name for name in names if name not in known]
    if groups and left_over:
        raise ConfigError(f"groups: no group has {', '.join(left_over)}; put every row into one")


def check_figures(
    figures: Sequence[FigureSettings], names: Sequence[str], papers: Mapping[str, Scores]
) -> None:
    """Raise ConfigError where a figure speaks of what a study lacks, or says too little of its rows; `papers`
    are the paper's numbers on each of the study's sets, the first one first."""
    for index, figure in enumerate(figures):
        place, theirs = f"figures.{index}", papers.get(figure.scored_on or next(iter(papers)))
        if not 1 <= len(figure.curves) <= MOST_CURVES or not all(figure.curves.values()):
            wanted = f"1 to {MOST_CURVES} curves are wanted, each of some rows"
            raise ConfigError(f"{place}.curves = {sorted(figure.curves)}, but {wanted}")
        if figure.log and any(number <= 0 for number in figure.at.values()):
            found = f"{place}.at = {dict(figure.at)}"
            raise ConfigError(f"{found}, but numbers over 0 are wanted where log is true")
        if theirs is None:
            found = f"{place}: unknown set scored_on = {figure.scored_on!r}"
            raise ConfigError(f"{found}; there are: {', '.join(papers)}")
        unknown = [row for row in (*figure.rows, *figure.at) if row not in names]
        if unknown:
            raise ConfigError(f"{place}: unknown row {unknown[0]}; there are: {', '.join(names)}")
        untold = [row for row in figure.rows if row not in figure.at]
        if figure.x not in AXIS_TITLES and untold:
            raise ConfigError(
                f"{place}: x = {figure.x!r} is none of {', '.join(AXIS_TITLES)}, so that `at` is to give a "
                f"number for every row, but it lacks {', '.join(untold)}"
            )
        if figure.paper:
            _check_paper(figure, place, theirs)


def _check_paper(figure: FigureSettings, place: str, theirs: Scores) -> None:
    if figure.x in (CLICKS, HOURS):
        raise ConfigError(
            f"{place}: paper = true, but x = {figure.x!r} are those of the labels here, and the "
            "paper's labels took others; choose an axis that both have: stacks, or numbers of `at`"
        )
    lacking = [[row for row in rows if row not in theirs] for rows in figure.curves.values()]
    if all(lacking):
        raise ConfigError(
            f"{place}: paper = true, but `paper` has all rows of none of its curves; it lacks, curve "
            f"by curve: {'; '.join(', '.join(rows) for rows in lacking)}"
        )


def check_grid(grid: Grid) -> None:
    """Raise ConfigError where an axis has no options or changes the seed, or two change the same setting."""
    keys: dict[str, str] = {}  # settings key -> the axis that changes it
    for axis, options in grid.items():
        if any("seed" in changes for changes in options.values()):
            raise ConfigError(f"grid.{axis} changes seed, which every run has of the study's `seeds`")
        if not options:
            raise ConfigError(f"grid.{axis} = {{}}, but one option or more is wanted: name: {{key: value}}")
        for key in dict.fromkeys(key for changes in options.values() for key in _changes(changes)):
            for other, owner in keys.items():
                if owner != axis and _overlap(key, other):
                    both = f"both change {key if key == other else f'{other}, {key}'}"
                    raise ConfigError(f"grid.{owner} and grid.{axis} {both}; a setting belongs to one axis")
            keys[key] = axis
        for name, changes in options.items():
            for first, second in itertools.combinations(_changes(changes), 2):
                if _overlap(first, second):
                    both = f"{first} and {second} change the same setting"
                    raise ConfigError(f"grid.{axis}.{name}: {both}; write one of them")


def _changes(option: Mapping[str, Any]) -> dict[str, Any]:
    """Settings key -> value of an option."""
    return {key: value for key, value in option.items() if key != "title"}


def _overlap(first: str, second: str) -> bool:
    """Whether two keys with dots are the same, or one holds the other."""
    return all(one == other for one, other in zip(first.split("."), second.split(".")))


def grid_names(grid: Grid) -> list[str]:
    """The names of a grid's rows in order: the last axis changes fastest."""
    return ["-".join(names) for names in itertools.product(*grid.values())] if grid else []


def grid_rows(base: dict[str, Any], grid: Grid, where: str) -> Iterator[tuple[str, dict[str, Any], str, str]]:
    """Each row's name, plain settings, where they come from, and its title.

    The options of a grid that `check_grid` found good change `base`, which comes from `where`. Raises
    ConfigError for a key that leads into no mapping or list; unknown keys are found when settings are made
    of the values.
    """
    for names in itertools.product(*grid.values()) if grid else ():
        values, changed, titles = copy.deepcopy(base), [where], []
        for axis, name in zip(grid, names):
            option = grid[axis][name]
            for key, value in _changes(option).items():
                set_key(values, key, copy.deepcopy(value), f"grid.{axis}.{name}")
                changed.append(f"{key}={value}")
            titles += [str(option["title"])] if option.get("title") else []
        yield "-".join(names), values, " with ".join(changed), ", ".join(titles)
