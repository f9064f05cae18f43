"""From the command line to a page: everything is opened and checked, then served until it is interrupted."""

from __future__ import annotations

import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from flow_cache.runtime.words import counted
from slimdp.surface import BodySurface
from slimdp.surface.load import has_mesh, load_surface
from slimdp.surface.people import COCO_KEYPOINTS, PEOPLE, POSETRACK_FILE_KEYPOINTS


class MissingPackageError(ValueError):
    """The extra `annotate` is not installed."""


@dataclass(frozen=True)
class AnnotateSettings:
    """What a session is told."""

    surface: str = "open"
    frames: bool = False  # the pictures of a folder are the frames of a video
    weights: str | None = None  # a checkpoint for proposals and suggestions
    flow: Path | None = None  # a store, for suggestions
    detector: str = "auto"
    port: int = 0  # 0: any that is free
    browser: bool = True  # open the page


def require_packages() -> None:
    """Raise MissingPackageError where the server's packages are not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(f"{error.name} is missing; run: pip install 'slimdp[annotate]'") from None


def annotate(
    source: Path, labels: Path, settings: AnnotateSettings, say: Callable[[str], None] = print
) -> None:
    """Serve the page of a file of labels until the process is interrupted; `say` is told its address.

    Raises ValueError for a surface, pictures, labels or weights that cannot be, HeldError where another
    server has the file; nothing is written then.
    """
    require_packages()
    import uvicorn

    from slimdp.annotate.document import open_document
    from slimdp.annotate.media import open_media
    from slimdp.annotate.server import make_app
    from slimdp.annotate.session import Session
    from slimdp.annotate.suggestions import Suggestions
    from slimdp.annotate.views import surface_identity
    from slimdp.inference.weights import find_weights

    labels = labels.resolve()  # a link must not get around the lock
    surface = mesh_surface(settings.surface)
    media = open_media(source, labels, settings.frames)
    if settings.flow is not None and not media.is_video:
        raise ValueError("--flow is of a video's frames, but these are pictures; are they? then: --frames")
    if settings.weights is not None:
        find_weights(settings.weights)  # before the page opens, not at the first question
    names = surface.layout.keypoints
    if surface.layout == PEOPLE:
        names = POSETRACK_FILE_KEYPOINTS if media.is_video else COCO_KEYPOINTS
    with open_document(labels, surface.layout, surface_identity(surface), names) as document:
        session = Session(document, media, surface, settings.weights, settings.detector)
        threading.Thread(target=session.views.paint_all, daemon=True).start()
        with (
            closing(socket.create_server(("127.0.0.1", settings.port))) as listening,
            closing(Suggestions(session, settings.flow)) as suggestions,
        ):
            port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
            address = f"http://127.0.0.1:{port}/{token}/"
            say(f"labels of {counted(len(media), 'picture')} go to {labels}; stop with Ctrl-C")
            say(address)
            if settings.browser:
                webbrowser.open(address)
            config = uvicorn.Config(
                make_app(session, token, port, suggestions), log_level="warning", access_log=False,
                ws="none", server_header=False, timeout_graceful_shutdown=2,
            )  # fmt: skip
            uvicorn.Server(config).run(sockets=[listening])


def mesh_surface(name: str) -> BodySurface:
    """A surface that can be drawn; ValueError for DensePose's files, which have no positions."""
    if not has_mesh(name):
        load_surface(name)  # which names what is wrong with the folder, if something is
        raise ValueError(
            f"{name}: DensePose's files have no positions of vertices, which belong to SMPL, and cannot be "
            "drawn; annotate with --surface open, or with a folder of slimdp chart"
        )
    surface = load_surface(name)
    assert isinstance(surface, BodySurface)
    return surface
