"""`python -m flow_cache finetune`: what it takes and prints."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flow_cache.errors import FlowCacheError
from flow_cache.runtime.command_line import add_input, add_output

if TYPE_CHECKING:
    from flow_cache.finetune.samples import Field

#: Fields of the videos held out that are measured; enough for a figure, soon done.
_MEASURED = 60


def add_command(commands: argparse._SubParsersAction) -> None:
    """Let RAFT learn from a store."""
    tune = commands.add_parser(
        "finetune",
        help="let RAFT learn from stored flow, such as exact one; resumes",
        description="Let RAFT learn from stored flow, such as exact one (docs/flow.md). The same command "
        "goes on where it was stopped.",
    )
    add_input(
        tune, "stores", nargs="+", metavar="STORE", help="a store of flow to learn from, beside its frames"
    )
    weights = "the weights to begin with: a checkpoint, or their name in torchvision (default: C_T_V2)"
    add_input(tune, "--weights", type=str, default="C_T_V2", help=weights)
    tune.add_argument(
        "--estimator",
        default="raft_small",
        choices=("raft_small", "raft_large"),
        help="the network (default: raft_small)",
    )
    masks = "pictures FOLDER/VIDEO/FRAME.png, not black where people are: crops are cut there"
    add_input(tune, "--masks", metavar="FOLDER", help=masks)
    out = "the folder to fill: weights.pt, last.pt, errors.json"
    add_output(tune, "--out", role="folder", required=True, help=out)
    for name, kind, said in (
        ("steps", int, "steps of learning (default: 4000)"), ("batch", int, "samples a step (default: 4)"),
        ("crop", int, "side of a sample, px (default: 128)"),
        ("iterations", int, "updates of the flow (default: 6)"),
        ("rate", float, "the peak rate of learning (default: 2e-4)"),
        ("seed", int, "seed of everything random (default: 0)"),
        ("patches-share", float, "share of samples that are patches flying over a frame (default: 0.2)"),
    ):  # fmt: skip
        tune.add_argument(f"--{name}", type=kind, help=said)
    held = "videos of each store that nothing is learned from: errors are measured there (default: a tenth)"
    tune.add_argument("--held-out", type=int, metavar="N", help=held)
    tune.add_argument(
        "--device",
        default="auto",
        help="where it learns: auto, cpu, cuda, cuda:1 (default: auto, a GPU where there is one)",
    )
    tune.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    from flow_cache.estimators import make_estimator
    from flow_cache.finetune.loop import finetune
    from flow_cache.finetune.measure import flow_errors
    from flow_cache.finetune.samples import StoredPairs
    from flow_cache.finetune.settings import FinetuneSettings
    from flow_cache.runtime.atomic import write_json

    names = ("estimator", "steps", "batch", "crop", "iterations", "rate", "seed", "patches_share")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    settings = FinetuneSettings(**given)
    learned: list[Field] = []
    measured: list[Field] = []
    for path in options.stores:
        pairs = StoredPairs(path, options.masks)
        videos = pairs.store.videos()
        kept, held = split(videos, options.held_out)
        learned += pairs.fields(kept)
        measured += pairs.fields(held)
    measured = measured[:: max(len(measured) // _MEASURED, 1)]
    options.out.mkdir(parents=True, exist_ok=True)
    weights = finetune(learned, options.weights, options.out, settings, options.device)
    errors: dict[str, Any] = {"before": None, "after": None}
    for when, file in (("before", options.weights), ("after", str(weights))):
        estimator = make_estimator(options.estimator, weights=file, device=options.device)
        errors[when] = flow_errors(estimator, measured, f"measure {when}")
    write_json(options.out / "errors.json", errors)
    print("\n".join(tell(errors)))
    print(f"{weights}: {settings.steps} steps on {len(learned)} fields")


def split(videos: Sequence[str], held_out: int | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The videos to learn from, and the last ones, which are held out; a tenth by default, at least one.

    Raises FlowCacheError where nothing is left on either side.
    """
    count = max(len(videos) // 10, 1) if held_out is None else held_out
    if not 1 <= count < len(videos):
        raise FlowCacheError(
            f"{count} of {len(videos)} videos held out; wanted 1 or more, and some left to learn from"
        )
    return tuple(videos[:-count]), tuple(videos[-count:])


def tell(errors: dict[str, Any]) -> list[str]:
    """Lines of a table: before and after, on what was held out."""
    lines = ["frames  where    before: median, 95 %   after: median, 95 %  px"]
    for before, after in zip(errors["before"], errors["after"], strict=True):
        lines.append(
            f"{before['frames']:6d}  {before['where']:7s}  {before['median_px']:9.3f} {before['95_px']:9.3f}"
            f"   {after['median_px']:9.3f} {after['95_px']:9.3f}"
        )
    return lines
