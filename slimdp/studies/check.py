"""What can be found wrong with a study before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from flow_cache.runtime.shell import quoted
from slimdp.config import ConfigError, TrainConfig
from slimdp.data import Clicks
from slimdp.studies.plan import PlannedRun
from slimdp.studies.records import Evaluated
from slimdp.studies.states import RunState
from slimdp.studies.work import labelled_people
from slimdp.surface import load_surface
from slimdp.training.stage_data import Sets, clicks_of, read_stages


def refuse_changed(states: Iterable[RunState], out: Path) -> None:
    """Raise ConfigError where runs were trained with other settings or labels, naming runs and keys."""
    changed = [state for state in states if state.changed]
    if not changed:
        return
    listed = "".join(f"\n  {state.run.name}: {'; '.join(state.changed)}" for state in changed)
    folders = " ".join(quoted(state.run.place(out)) for state in changed)
    raise ConfigError(
        f"{len(changed)} runs in {out} were made with other settings (key: there, now):{listed}\n"
        f"Go on with their settings, choose another --out, or train them again after: rm -r {folders}"
    )


def check_runs(runs: Sequence[PlannedRun], evaluated: Evaluated) -> dict[str, Clicks]:
    """Read and check all labels that the runs are trained with, and the people who are scored.

    Returns:
        the clicks behind the labels of each row and seed that is to be scored, by `PlannedRun.name`.

    Raises:
        ConfigError: naming every row that cannot be run, with the reason.
    """
    sets: Sets = {}
    scored = [run for run in runs if run.row is not None]
    wrong: dict[str, str | None] = {}
    counted: dict[TrainConfig, Clicks] = {}
    if scored:
        for name, people in (("", evaluated), *evaluated.others.items()):
            wrong[f"evaluate.{name}" if name else "evaluate"] = _problem(partial(labelled_people, people))
        labelled_people.cache_clear()  # the processes that score read them for themselves
    for run in scored:
        labels = _but_for_the_seed(run.config)
        place = f"row {run.row}"
        if labels not in counted and wrong.get(place) is None:
            wrong[place] = _problem(partial(_check_row, run, sets))
            if wrong[place] is None:
                counted[labels] = clicks_of(run.config, sets)
    problems = [f"\n  {name}: {problem}" for name, problem in wrong.items() if problem is not None]
    if problems:
        raise ConfigError(f"nothing was begun, for the study cannot be run as it is:{''.join(problems)}")
    return {run.name: counted[_but_for_the_seed(run.config)] for run in scored}


def _but_for_the_seed(config: TrainConfig) -> TrainConfig:
    """The same for runs that differ in nothing that is checked: a budget that draws with it names it."""
    return config.replace(seed=0)


def _check_row(run: PlannedRun, sets: Sets) -> None:
    read_stages(run.config, sets=sets)
    load_surface(run.config.surface)  # that errors are measured on; built before the processes start


def _problem(check: Callable[[], object]) -> str | None:
    try:
        check()
    except (ValueError, OSError) as error:
        return str(error)
    return None
