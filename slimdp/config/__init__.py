"""Every setting, as frozen pydantic models that check themselves, read from YAML with overrides.

A settings file may build on another one (`base: base.yaml`) and then holds the difference alone.
"""

from slimdp.config.base import Settings
from slimdp.config.learning import LOSS, LossTerm, OptimiserSettings, ScheduleSettings
from slimdp.config.model import MODEL, ModelSettings, ModelSpec
from slimdp.config.samples import (
    AugmentSettings,
    BudgetSettings,
    ClickCosts,
    CropSettings,
    DataSource,
    MotionSettings,
    NoMotion,
    TaughtSettings,
    TeacherSettings,
)
from slimdp.config.train import (
    StageSettings,
    TrainConfig,
    ValidationSettings,
    config_from_dict,
    config_to_dict,
    load_config,
)
from slimdp.settings_file import ConfigError

__all__ = [
    "LOSS", "MODEL",
    "AugmentSettings", "BudgetSettings", "ClickCosts", "ConfigError", "CropSettings", "DataSource",
    "LossTerm", "ModelSettings", "ModelSpec", "MotionSettings", "NoMotion", "OptimiserSettings",
    "ScheduleSettings", "Settings", "StageSettings", "TaughtSettings", "TeacherSettings", "TrainConfig",
    "ValidationSettings",
    "config_from_dict", "config_to_dict", "load_config",
]  # fmt: skip
