"""The weights that predict where none are named."""

from __future__ import annotations

from pathlib import Path

from slimdp.settings_file import ConfigError

#: Weights that come with the package lie here, the default one first.
SHIPPED = ("people-128.pt",)
FOLDER = Path(__file__).parent.parent / "weights"


def find_weights(given: str | Path | None = None) -> Path:
    """The checkpoint to use: the given one, or for None and "default" the one that comes with the package.

    Raises:
        ConfigError: there is no such file; it says how to train one.
    """
    if given is not None and str(given) != "default":
        path = Path(given)
        if not path.is_file():
            raise ConfigError(
                f"no weights at {path}; name stage_NAME.pt of a run of slimdp train or slimdp fit"
            )
        return path
    for name in SHIPPED:
        if (FOLDER / name).is_file():
            return FOLDER / name
    raise ConfigError(
        "this version of slimdp comes without weights; give some by --weights: stage_NAME.pt of a run of "
        "slimdp train. To make some: slimdp synthesize --preset small --set stills=3600 --out runs/people, "
        "then slimdp train experiments/people_128.yaml --out runs/people_128"
    )
