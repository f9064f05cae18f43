from __future__ import annotations

from slimdp.config import BudgetSettings, DataSource, StageSettings, TrainConfig
from slimdp.studies.page.tables import setting_lines


def test_what_differs_is_told_key_by_key_without_what_nobody_chose(base_config: TrainConfig) -> None:
    assert setting_lines(base_config, base_config) == []
    first, second = base_config.stages
    (source,) = first.data
    some = source.replace(budget=BudgetSettings(points=0.05))
    other = base_config.replace(
        model=base_config.model.replace(stacks=base_config.model.stacks + 1),
        stages=(first.replace(data=(some,), learning_rate=1e-2), second),
    )
    assert setting_lines(base_config, other) == [
        "stages.stills.learning_rate: 0.03 \u2192 0.01",
        f"model.stacks: {base_config.model.stacks} \u2192 {base_config.model.stacks + 1}",
        "stages.stills.data.0.budget.points: \u2013 \u2192 0.05",
    ]


def test_stages_are_known_by_their_names(base_config: TrainConfig, labels: DataSource) -> None:
    second = base_config.stages[1]
    third = StageSettings(name="third", data=(labels,), steps=7, batch=2)
    # The first stage is gone, so that the second one stands in its place; a third one follows.
    lines = setting_lines(base_config, base_config.replace(stages=(second, third)))
    assert lines[0] == "stages.stills: there \u2192 \u2013"
    assert not [line for line in lines if "clips." in line]
    assert "stages.third.steps: \u2013 \u2192 7" in lines
    assert not [line for line in lines if "third.weight_decay" in line]
