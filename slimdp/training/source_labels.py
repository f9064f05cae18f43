"""The labels that a stage learns from: those of a file, or what a budget leaves of them."""

from __future__ import annotations

from slimdp.config import BudgetSettings, DataSource
from slimdp.data import AnnotationError, AnnotationSet, apply_budget, read_annotations

#: Whole annotations by their file and the folder of their pictures.
Sets = dict[tuple[str, str], AnnotationSet]


def source_labels(source: DataSource, sets: Sets) -> AnnotationSet:
    """The labels of a source, as its budget leaves them.

    Args:
        source: of a stage.
        sets: annotations that were read before; those read here join them, whole.

    Raises:
        AnnotationError: the file is broken, or the budget does not fit it.
    """
    key = (source.annotations, source.images)
    if key not in sets:
        sets[key] = read_annotations(*key)
    if source.budget is None:
        return sets[key]
    fewer = apply_budget(sets[key], source.budget)
    if not source.unlabelled and not fewer.teaches and sets[key].teaches:
        raise AnnotationError(
            f"{source.annotations}: its budget leaves nobody any label: {_told(source.budget)}"
        )
    return fewer


def _told(budget: BudgetSettings) -> str:
    """What it says beyond the default: "images = 0, parts = kept"."""
    usual = BudgetSettings()
    return ", ".join(f"{name} = {value}" for name, value in budget if value != getattr(usual, name))
