"""The weights that predict where none are named: which come with slimdp, and whether they are whole."""

from __future__ import annotations

from pathlib import Path

from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.words import listed, quoted
from slimdp.settings_file import ConfigError

#: What lies in `FOLDER`, the weights to use first, and its SHA-256; tools/ship_weights.py writes it.
SHIPPED: dict[str, str] = {
    "people-192.pt": "eddf1e5b6c2cee6a102119125bc9e63bb56bdcd56d0d5b893f219adefab892f5",
    "people-192.error.json": "9df18107a3985d178d6ab1205b6ddd4e0118dd3852afcd4b49b1f194dc8998bd",
    "people-128.pt": "42ee3af25c8d852fdd9e6a53d563cb225da4e4ab6ff0608064872b3ecba356a3",
    "people-128.error.json": "a329980868a672c9c0641b4a927f380a16a05efe068e8c6b742960891fd0be7a",
}
#: What a fit begins with: these learn more from a few labels, but know less of real people (docs/fit.md).
TO_FIT = "people-128.pt"
FOLDER = Path(__file__).resolve().parents[1] / "weights"
DEFAULT = "default"
NONE_SHIPPED = (
    "this version of slimdp comes without weights; give some by --weights: stage_NAME.pt of a run of "
    "slimdp train. To make some: slimdp synthesize --preset small --set stills=3600 --out runs/people, "
    "then slimdp train experiments/people_128.yaml --out runs/people_128"
)


def find_weights(given: str | Path | None = None, to_fit: bool = False) -> Path:
    """The checkpoint to use: the given one, or of those that come with the package the one of that name.

    None and "default" are the first of these, but None is `TO_FIT` where they are to be fitted; another one
    is named without its suffix: "people-128".

    Raises:
        ConfigError: there is no such file, which says how to train one; or one that comes with the package is
            damaged or another.
    """
    named = _by_name()
    if given is None or str(given) == DEFAULT:
        if not named:
            raise ConfigError(NONE_SHIPPED)
        fitted = given is None and to_fit and TO_FIT in SHIPPED
        return shipped_file(TO_FIT if fitted else next(iter(named.values())))
    if str(given) in named:
        return shipped_file(named[str(given)])
    path = Path(given)
    if not path.is_file():
        names = listed([DEFAULT, *named], str(given))
        raise ConfigError(
            f"no weights at {path}; name stage_NAME.pt of a run of slimdp train or slimdp fit, or what comes "
            f"with slimdp: {names}"
        )
    ours = path.name in SHIPPED and path.resolve().parent == FOLDER
    return shipped_file(path.name) if ours else path


def _by_name() -> dict[str, str]:
    """The checkpoints of `SHIPPED` by what a command line calls them."""
    return {Path(file).stem: file for file in SHIPPED if file.endswith(".pt")}


def shipped_names() -> list[str]:
    """What a command line calls the checkpoints that come with the package, the default first."""
    return list(_by_name())


def name_of(sha256: str | None) -> str | None:
    """What a command line calls the checkpoint of slimdp's that has a SHA-256; None: there is none."""
    return next((name for name, file in _by_name().items() if SHIPPED[file] == sha256), None)


def require_own(checkpoint: Path) -> None:
    """Raise ConfigError for a checkpoint beside which a file of slimdp's lies that one of its would replace.

    These files' hashes are checked: weights with others beside them are refused.
    """
    checkpoint = find_weights(checkpoint) if str(checkpoint) in (DEFAULT, *_by_name()) else checkpoint
    stems = {name.partition(".")[0] for name in SHIPPED}
    if checkpoint.stem in stems and FOLDER in (checkpoint.parent.resolve(), checkpoint.resolve().parent):
        raise ConfigError(
            f"{checkpoint} comes with slimdp, and so do its error bars, which yours would replace: slimdp "
            f"would take the weights for damaged. Copy them elsewhere first: cp {quoted(checkpoint)} "
            f"my_weights{checkpoint.suffix}, and name the copy"
        )


def shipped_file(name: str) -> Path:
    """A file of `SHIPPED`; raises ConfigError where it is missing, damaged or another one."""
    path, wanted = FOLDER / name, SHIPPED[name]
    remedy = "install slimdp again (pip install --force-reinstall slimdp), or name weights of yours"
    if not path.is_file():
        raise ConfigError(f"{path} is missing, which comes with slimdp; {remedy}")
    found = file_sha256(path).hex()
    if found != wanted:
        size = f"{path.stat().st_size} bytes of SHA-256 {found}"
        raise ConfigError(
            f"{path} is damaged or was exchanged: it has {size}, but {wanted} came with slimdp; {remedy}"
        )
    return path
