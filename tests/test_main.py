from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

import flow_cache
import flow_cache.__main__
import slimdp
from slimdp.__main__ import main
from slimdp.settings_file import ConfigError
from slimdp.synthetic.presets import preset_plan


def test_help_and_bad_options_load_no_library() -> None:
    """They answer at once: libraries are imported by the command that runs."""
    heavy = "{'cv2', 'h5py', 'numpy', 'scipy', 'torch', 'tqdm'}"
    code = (
        "import slimdp.__main__, flow_cache.__main__, sys; slimdp.__main__._parser(); "
        f"flow_cache.__main__._parser(); print(*{heavy} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "\n"


def test_an_unknown_command_is_named_with_its_choices(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["swep"])
    assert ended.value.code == 2
    assert "sweep" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("run", "name"),
    [(main, "slimdp"), (flow_cache.__main__.main, "flow_cache")],
    ids=["slimdp", "flow_cache"],
)
def test_the_version_and_the_help_without_a_command(
    run: Callable[[list[str]], int], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{name} {slimdp.__version__}\n"
    assert slimdp.__version__ == flow_cache.__version__
    with pytest.raises(SystemExit) as ended:
        run([])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert "--version" in said.out
    assert said.err.endswith("required: COMMAND\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["swep"], "did you mean sweep?"),
        (["flow", "precomput"], "did you mean precompute?"),
        (["predict", "a.pt", "--anotations", "b"], "did you mean --annotations?"),
        (["flow", "inspect", "flow.h5", "--jsn"], "did you mean --json?"),
    ],
)
def test_the_nearest_command_or_option_is_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_nearest_preset_and_setting_are_named() -> None:
    with pytest.raises(ConfigError, match="did you mean tiny"):
        preset_plan("tinny", [])
    with pytest.raises(ConfigError, match=r"unknown key stils; there are: stills, .*; did you mean stills\?"):
        preset_plan("tiny", ["stils=3"])
    with pytest.raises(flow_cache.FlowCacheError, match="did you mean raft_small"):
        flow_cache.make_estimator("raft_smal")
