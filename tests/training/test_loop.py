from __future__ import annotations

from collections.abc import Collection

import pytest
import torch

from slimdp.config import DataSource, StageSettings
from slimdp.losses import loss_terms
from slimdp.structures import ModelOutput, PersonAnnotation, PoseBatch
from slimdp.training import loop
from slimdp.training.loop import NoLabelsError, NonFiniteGuard, NonFiniteLossError

STAGE = StageSettings(name="clips", data=(DataSource(annotations="x", images="y"),), steps=5)


def nobody(step: int) -> list[PersonAnnotation]:
    return []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_on_a_cpu_a_number_that_is_not_finite_stops_at_once(value: float) -> None:
    guard = NonFiniteGuard(STAGE, nobody)
    guard.check(0, 0.1, {"total": torch.tensor(1.0), "gradient norm": torch.tensor(2.0)})
    words = r"stage 'clips', step 1: .*total 1, gradient norm (nan|-?inf).*learning_rate \(here 0\.1\)"
    with pytest.raises(NonFiniteLossError, match=words):
        guard.check(1, 0.1, {"total": torch.tensor(1.0), "gradient norm": torch.tensor(value)})


def test_a_batch_teaches_something_if_one_term_that_counts_has_a_label() -> None:
    guard = NonFiniteGuard(STAGE, nobody)
    weights = loss_terms(part=1, coarse=0, background=0, uv=1)
    none = dict.fromkeys(weights, 0)
    guard.require_labels(0, {**none, "part": 1}, weights)
    with pytest.raises(NoLabelsError, match=r"step 3: no label .*part 0, uv 0, coarse 7, background 9"):
        guard.require_labels(3, {**none, "coarse": 7, "background": 9}, weights)


def test_the_parts_of_a_step_draw_alike_and_steps_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that draws at random sees the same numbers for any number of parts."""
    drawn: list[int] = []
    weight = torch.nn.Parameter(torch.ones(()))

    def drawing(batch: PoseBatch, features: Collection[str]) -> ModelOutput:
        drawn.append(int(torch.randint(2**31, ())))
        return ModelOutput(())

    monkeypatch.setattr(loop, "total_loss", lambda *given: (weight * 1, {}))
    network = torch.nn.Linear(1, 1)
    monkeypatch.setattr(network, "forward", drawing)
    batch = PoseBatch.of_pictures(torch.zeros(1, 3, 8, 8), torch.zeros(1).long(), torch.ones(1, 4))
    for parts in (1, 3):
        torch.manual_seed(0)
        for _ in range(2):
            loop.add_gradients(network, [loop.MicroBatch(batch, {})] * parts, {}, {}, 1, bf16=False)
    first, second = drawn[:2]
    assert first != second
    assert drawn[2:] == [first] * 3 + [second] * 3
