from __future__ import annotations

import argparse

import pytest

from slimdp.models import FcnSettings, FpnSettings, HourglassSettings, RegionSettings
from tools.bench_networks import measured, settings_of


def test_networks_are_named_by_words() -> None:
    assert settings_of("hourglass 2 64") == HourglassSettings(stacks=2, features=64)
    assert settings_of("fpn resnet34 16") == FpnSettings(backbone="resnet34", channels=16)
    assert settings_of("fcn resnet50 256") == FcnSettings(backbone="resnet50", channels=256)
    assert settings_of("region resnet18 64") == RegionSettings(
        channels=64, head_channels=128, region_samples=64
    )
    for odd in ("fpn", "unet resnet18 8", "fpn resnet19 8", "hourglass two 64"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no network"):
            settings_of(odd)


@pytest.mark.parametrize("network", ["hourglass 1 8", "region resnet18 8"])
def test_what_is_timed_runs(network: str) -> None:
    parameters, works = measured(settings_of(network), 64, 2)
    assert parameters > 1000
    assert list(works) == ["forward", "step"]
    for work in works.values():
        work()
