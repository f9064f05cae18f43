"""What a batch says of the predictions: all terms, weighted and summed here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from slimdp.config import LossTerm
from slimdp.losses.labels import map_labels
from slimdp.structures import ModelOutput, PoseBatch

#: Among the counts: the images, by which those losses of a network itself weigh that count nothing else.
IMAGES = "images"


def count_labels(
    terms: Mapping[str, LossTerm], batch: PoseBatch, of_network: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Labels of each term, which its mean divides by, images, and what the network's own losses count.

    `of_network` are the `DensePoseModel.loss_counts` of the batch; without them its losses weigh by images.
    """
    own = {_of_network(name): count for name, count in (of_network or {}).items()}
    return {**{name: term.count(batch) for name, term in terms.items()}, IMAGES: len(batch.images), **own}


def _of_network(loss: str) -> str:
    """The name of a network's own loss among the counts and in the report."""
    return f"network/{loss}"


def total_loss(
    output: ModelOutput, batch: PoseBatch, terms: Mapping[str, LossTerm],
    counts: Mapping[str, int] | None = None, totals: Mapping[str, int] | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    """Weigh and sum the terms of all stages: supervision at every one (Newell et al., 3.3).

    A term is the mean over its labels. Of a batch that is cut into parts, for several processes or one part
    after the other, each part's means count as much as it has labels, so that the parts add up to the whole:
    mean(batch) = sum over parts of count(part) / count(batch) * mean(part). A mean divides by 1 where it
    counts nothing, as torchvision's do, which sum over background all the same.

    Args:
        output: of the network, with the features that the terms ask for (`needed_features`).
        batch: the labels, on the same device. A network may have cut them to `output.regions`: those are
            compared, and weighed so that the labels of the batch count them.
        terms: a weight of 0 leaves a term in the report alone.
        counts: labels of this part (`count_labels`); None: count them here.
        totals: labels of the whole batch; None: this is the whole.

    Returns:
        scalar total with gradient, and the unweighted terms without, named like `stack0/part`: this part's
        share of both. What the network says of itself is `network/...`.

    Raises ValueError where there is no stage, or coarse labels or keypoints do not fit the maps.
    """
    if not output.stages and not output.losses:
        raise ValueError("no predictions to compare with the labels")
    compared = batch if output.regions is None else output.regions
    counts = count_labels(terms, batch) if counts is None else counts
    shares = {name: count / max((totals or counts)[name], 1) for name, count in counts.items()}
    # The maps of each person's image; half precision is compared in float32.
    stages = tuple(maps.map(compared.of_instances).full_precision() for maps in output.stages)
    output = replace(output, stages=stages)
    labels = map_labels(compared)
    sums = {name: term.sums(output, labels) for name, term in terms.items()}
    total = batch.points.new_zeros(())
    report = {}
    for stage in range(len(output.stages)):
        for name, term in terms.items():
            if sums[name]:
                mean = sums[name][stage] / max(counts[name], 1)
                total = total + term.weight * shares[name] * mean
                report[f"stack{stage}/{name}"] = mean.detach() * shares[name]
    for name, value in output.losses.items():
        counted = _of_network(name) if _of_network(name) in counts else IMAGES
        share = max(counts[counted], 1) / max((totals or counts)[counted], 1)
        total = total + share * value
        report[_of_network(name)] = value.detach() * share
    return total, report


def needed_features(terms: Mapping[str, LossTerm]) -> tuple[str, ...]:
    """Names of the features that a network must be asked for, to be compared."""
    return tuple(dict.fromkeys(name for term in terms.values() if term.weight > 0 for name in term.features))
