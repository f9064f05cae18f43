from __future__ import annotations

import argparse

import pytest

from slimdp.models import FcnSettings, FpnSettings, HourglassSettings
from tools.bench_networks import measured, settings_of


def test_networks_are_named_by_words() -> None:
    assert settings_of("hourglass 2 64") == HourglassSettings(stacks=2, features=64)
    assert settings_of("fpn resnet34 16") == FpnSettings(backbone="resnet34", channels=16)
    assert settings_of("fcn resnet50 256") == FcnSettings(backbone="resnet50", channels=256)
    for odd in ("fpn", "unet resnet18 8", "fpn resnet19 8", "hourglass two 64"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no network"):
            settings_of(odd)


def test_what_is_timed_runs() -> None:
    parameters, works = measured(settings_of("hourglass 1 8"), 64, 2)
    assert parameters > 1000
    assert list(works) == ["forward", "step"]
    for work in works.values():
        work()
