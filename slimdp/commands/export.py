"""A trained network for programs without torch."""

from __future__ import annotations

import argparse

from flow_cache.runtime.command_line import add_input, add_output
from slimdp.commands.arguments import NAMED_WEIGHTS, WEIGHT_NAMES, add_imports


def add_commands(commands: argparse._SubParsersAction) -> None:
    """export."""
    command = commands.add_parser(
        "export",
        help="write a network as ONNX, for programs without torch",
        description="Write a trained network as an ONNX file, with what its use takes in the metadata "
        "(docs/export.md). Needs: pip install 'slimdp[export]'",
    )
    add_input(
        command,
        "checkpoint",
        metavar="CHECKPOINT",
        words=WEIGHT_NAMES,
        help=f"stage_NAME.pt of a run, or {NAMED_WEIGHTS}: weights that come with slimdp",
    )
    add_output(command, "--out", required=True, help="the ONNX file to write")
    command.add_argument(
        "--int8", action="store_true", help="write weights in 8 bits: a file a quarter as large"
    )
    add_imports(command, "the network")
    command.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> None:
    from pathlib import Path

    from flow_cache.runtime.checksums import file_sha256
    from flow_cache.runtime.command_line import check_apart
    from flow_cache.runtime.progress import log_line, timed
    from slimdp.data.outline import require_kept_background
    from slimdp.inference.onnx_export import Metadata, export_onnx, require_packages
    from slimdp.inference.weights import find_weights
    from slimdp.registry import import_modules
    from slimdp.training import load_model

    checkpoint = find_weights(options.checkpoint)
    check_apart(Path(options.out), checkpoint)  # `default` names a file that is not on the line
    require_packages()
    import_modules(options.imports)
    model, config = load_model(checkpoint)
    require_kept_background(config.crop)
    surface = Path(config.surface).name  # of a folder its name alone: where it lies is nobody else's business
    metadata = Metadata.of(model, config.crop, surface, file_sha256(checkpoint).hex())
    with timed("export"):
        difference = export_onnx(model, metadata, Path(options.out), options.int8)
    log_line(f"export: onnxruntime and torch differ by at most {difference:.1g}")
    print(options.out)
