"""What a batch says of the predictions: all terms, weighted and summed here alone."""

from __future__ import annotations

from torch import Tensor

from slimdp.config import LossSettings
from slimdp.losses.counts import count_labels
from slimdp.losses.equivariance import equivariance_sum
from slimdp.losses.supervised import supervised_sums
from slimdp.losses.targets import map_labels
from slimdp.structures import ModelOutput, PoseBatch


def total_loss(
    output: ModelOutput, batch: PoseBatch, weights: LossSettings, own: float = 1.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weigh and sum the terms of all stacks: supervision at every one (Newell et al., 3.3).

    The terms are those that the labels have (`supervised_sums`) and, where the batch has pairs and it has a
    weight, the equivariance of their features. Each is the mean over its labels, or over the valid pixels.

    Args:
        output: of the network, with the features that are held equivariant (`needed_features`).
        batch: the labels, on the same device.
        own: weight of the network's own losses (`ModelOutput.losses`).
        weights: of the terms; a weight of 0 leaves a term of the labels in the report alone.

    Returns:
        scalar total with gradient, and the unweighted terms without, named like `stack0/part`.

    Raises:
        ValueError: there is no stage, or coarse labels or keypoints do not fit the maps.
    """
    if not output.stages:
        raise ValueError("no predictions to compare with the labels")
    labels, counts = map_labels(batch), count_labels(batch)
    equivariant = weights.equivariance > 0 and batch.pairs is not None
    total = batch.points.new_zeros(())
    report = {}
    for stack, maps in enumerate(output.stages):
        sums = supervised_sums(maps.map(batch.of_instances), labels)
        if equivariant:
            assert weights.equivariance_at is not None
            features = output.features[stack][weights.equivariance_at]
            sums["equivariance"] = equivariance_sum(features, batch, weights.equivariance_stop)
        for name, value in sums.items():
            term = value / counts[name].clamp(min=1)
            total = total + getattr(weights, name) * term
            report[f"stack{stack}/{name}"] = term.detach()
    for name, value in output.losses.items():
        total = total + own * value
        report[f"network/{name}"] = value.detach()
    return total, report


def needed_features(weights: LossSettings) -> tuple[str, ...]:
    """Names of the features that a network must be asked for, to be compared."""
    return (weights.equivariance_at,) if weights.equivariance > 0 and weights.equivariance_at else ()
