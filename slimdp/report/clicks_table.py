"""What labels have cost, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slimdp.config import ClickCosts
from slimdp.data.clicks import count_clicks
from slimdp.report.table import format_table
from slimdp.structures import PersonAnnotation

_KINDS = {
    "points": "points with (u, v)",
    "parts": "points with a part alone",
    "masks": "outlines of coarse parts",
    "boxes": "boxes",
}


def clicks_table(people: Mapping[str, Sequence[PersonAnnotation]], costs: ClickCosts) -> str:
    """Labels by kind, their sum and an annotator's hours, a column for each set of people.

    Keypoints, which dense pose does not need, stand apart, with the hours that it takes with them and with
    the boxes of those who have nothing else.
    """
    dense = {name: count_clicks(each, keypoints=False) for name, each in people.items()}
    every = {name: count_clicks(each) for name, each in people.items()}
    labelled = {name: [p for p in each if p.has_labels] for name, each in people.items()}
    body = [
        ["labelled pictures", "", *(str(len({p.image.id for p in each})) for each in labelled.values())],
        ["labelled people", "", *(str(len(each)) for each in labelled.values())],
    ]
    for kind, name in _KINDS.items():
        counts = (str(getattr(clicks, kind)) for clicks in dense.values())
        body.append([name, f"{getattr(costs, kind):g} s", *counts])
    body.append(["clicks", "", *(str(clicks.total) for clicks in dense.values())])
    body.append(["hours", "", *(_hours(clicks.seconds(costs)) for clicks in dense.values())])
    if any(clicks.keypoints for clicks in every.values()):
        counts = (str(clicks.keypoints) for clicks in every.values())
        body.append(["keypoints", f"{costs.keypoints:g} s", *counts])
        body.append(
            ["hours with keypoints", "", *(_hours(clicks.seconds(costs)) for clicks in every.values())]
        )
    return format_table(["", "each", *people], body)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f}"
