"""The local server: one file's page and its interface, for nobody but the browser of this machine.

Every address begins with a random token. A request that names another host, comes from another origin, is
too large, or is no JSON is refused before anything is read. Pictures and views are asked for by number; of
files only those of the page's own folder go out.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from flow_cache import FlowCacheError
from slimdp.annotate.actions import act
from slimdp.annotate.loading import not_loaded
from slimdp.annotate.people import EditError
from slimdp.annotate.proposals import propose
from slimdp.annotate.session import OtherPageError, Session
from slimdp.annotate.suggestions import Suggestions
from slimdp.annotate.views import VIEWS, WHOLE

_LOG = logging.getLogger(__name__)
#: The largest request, bytes: a long stroke of the brush takes 100 kB.
LARGEST = 1_000_000
_PAGE = Path(__file__).with_name("page")
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_ALWAYS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Handler = Callable[[Request], Awaitable[Response]]


def make_app(session: Session, token: str, port: int, suggestions: Suggestions | None = None) -> ASGIApp:
    """The application of a session; it answers to 127.0.0.1 and localhost at a port, below /TOKEN/.

    `suggestions` say which pictures to label next, and are closed by whoever made them; None: those of the
    session without flow.
    """
    pages = _Routes(session, suggestions or Suggestions(session))
    routes = [
        Route("/{token}/", pages.page),
        Route("/{token}/page/{name}", pages.page),
        Route("/{token}/api/about", pages.about),
        Route("/{token}/api/overview", pages.overview),
        Route("/{token}/api/state/{number:int}", pages.state),
        Route("/{token}/api/picture/{number:int}", pages.picture),
        Route("/{token}/api/thumbnail/{number:int}", pages.thumbnail),
        Route("/{token}/api/views/{label:int}", pages.views),
        Route("/{token}/api/view/{label:int}/{number:int}", pages.view),
        Route("/{token}/api/body/{number:int}", pages.part_at),
        Route("/{token}/api/marks", pages.marks),
        Route("/{token}/api/{verb}", pages.post, methods=["POST"]),
    ]
    return _Guard(Starlette(routes=routes), token, {f"127.0.0.1:{port}", f"localhost:{port}"})


class _Guard:
    """Refuses what does not come from the page of this token on this machine."""

    def __init__(self, app: ASGIApp, token: str, hosts: set[str]) -> None:
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        fault = self._fault(Request(scope))
        if fault is not None:
            status, said = fault
            await JSONResponse({"error": said}, status, headers=_ALWAYS)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _fault(self, request: Request) -> tuple[int, str] | None:
        headers = request.headers
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            return 421, "another host is named"
        if origin is not None and origin not in {f"http://{each}" for each in self._hosts}:
            return 403, "another origin"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "another site"
        first = request.url.path.split("/")[1]
        if not secrets.compare_digest(first.encode(), self._token.encode()):
            return 404, "nothing here; the address is the one that slimdp annotate printed"
        if request.method == "POST":
            if headers.get("content-type", "").split(";")[0].strip() != "application/json":
                return 415, "wanted JSON"
            length = headers.get("content-length", "")
            if not length.isdecimal():
                return 411, "the length of the request is wanted"
            if int(length) > LARGEST:
                return 413, f"a request of {length} bytes, but at most {LARGEST} are taken"
        elif request.method not in ("GET", "HEAD"):
            return 405, "GET or POST"
        return None


class _Routes:
    """What is below the token; the work is done in threads, so that pings go on meanwhile."""

    def __init__(self, session: Session, suggestions: Suggestions) -> None:
        self._session, self._suggestions = session, suggestions
        # By name, found once: no name that is asked for ever reaches the file system.
        self._files = {file.name: file for file in _PAGE.iterdir() if file.suffix in _KINDS}

    async def page(self, request: Request) -> Response:
        file = self._files.get(request.path_params.get("name", "index.html"))
        if file is None:
            return _said("no such file", 404)
        return Response(file.read_bytes(), headers=_ALWAYS, media_type=_KINDS[file.suffix])

    async def about(self, request: Request) -> Response:
        return await _answer(self._session.about)

    async def overview(self, request: Request) -> Response:
        return await _answer(self._session.overview)

    async def state(self, request: Request) -> Response:
        return await _answer(self._session.state, request.path_params["number"])

    async def picture(self, request: Request) -> Response:
        equalised = request.query_params.get("equalised") == "1"
        return await _image(self._session.media.shown, "image/jpeg", request.path_params["number"], equalised)

    async def thumbnail(self, request: Request) -> Response:
        return await _image(self._session.media.thumbnail, "image/jpeg", request.path_params["number"])

    async def views(self, request: Request) -> Response:
        return await _answer(self._views, request.path_params["label"])

    async def view(self, request: Request) -> Response:
        label, number = request.path_params["label"], request.path_params["number"]
        return await _image(self._png, "image/png", label, number)

    async def part_at(self, request: Request) -> Response:
        return await _answer(self._part_at, request.path_params["number"], dict(request.query_params))

    async def marks(self, request: Request) -> Response:
        return await _answer(self._marks, dict(request.query_params))

    async def post(self, request: Request) -> Response:
        verbs: dict[str, Callable[[dict[str, Any]], Any]] = {
            "claim": self._claim, "ping": self._ping, "leave": self._leave, "act": self._act,
            "undo": self._undo, "redo": self._redo, "propose": self._propose,
            "suggest": self._suggest,
        }  # fmt: skip
        verb = verbs.get(request.path_params["verb"])
        if verb is None:
            return _said("no such address", 404)
        try:
            values = json.loads(await _body(request))
        except (ValueError, RecursionError):
            return _said("no JSON", 400)
        except _TooLargeError:
            return _said("a request larger than it said", 413)
        if not isinstance(values, dict):
            return _said("wanted a JSON object", 400)
        return await _answer(verb, values)

    # ---- in threads

    def _views(self, label: int) -> Any:
        self._require_part(label)
        views = self._session.views.of(label)
        names = [view.name for view in views.views]
        centres = views.centres if label == WHOLE else []
        return {"width": views.width, "height": views.height, "names": names, "centres": centres}

    def _png(self, label: int, number: int) -> bytes:
        self._require_part(label)
        _require_view(number)
        return self._session.views.png(label, number)

    def _part_at(self, number: int, query: dict[str, str]) -> Any:
        """The coarse part that a view of the whole body shows at x, y px; 0 beside it."""
        _require_view(number)
        try:
            x, y = float(query["x"]), float(query["y"])
        except (KeyError, ValueError):
            raise EditError("x and y are wanted") from None
        surface = self._session.surface
        hit = self._session.views.of(WHOLE).hit(number, x, y)
        part = 0 if hit is None else int(surface.layout.coarse_of_part[surface.face_part[hit[0]]])
        return {"part": part}

    def _marks(self, query: dict[str, str]) -> Any:
        """Where a place of the surface is in the views of its part."""
        surface = self._session.surface
        try:
            part, u, v = int(query["part"]), float(query["u"]), float(query["v"])
        except (KeyError, ValueError):
            raise EditError("part, u and v are wanted") from None
        face, barycentric = surface.locate([part], [[u, v]])  # type: ignore[arg-type]
        label = int(surface.layout.coarse_of_part[part])
        return {"coarse": label, "marks": self._session.views.of(label).marks(int(face[0]), barycentric[0])}

    def _require_part(self, label: int) -> None:
        if not WHOLE <= label <= len(self._session.surface.layout.coarse_parts):
            raise IndexError(f"part {label}")

    def _claim(self, values: dict[str, Any]) -> Any:
        self._session.claim(_page_of(values), take=values.get("take") is True)
        return {}

    def _ping(self, values: dict[str, Any]) -> Any:
        with self._session.by(_page_of(values)):
            return {}

    def _leave(self, values: dict[str, Any]) -> Any:
        self._session.leave(_page_of(values))
        return {}

    def _act(self, values: dict[str, Any]) -> Any:
        number, given = _number(values), values.get("values")
        if not isinstance(given, dict):
            raise EditError("values are wanted")
        with self._session.by(_page_of(values)):
            act(self._session, number, str(values.get("action")), given)
            return self._session.state(number)

    def _propose(self, values: dict[str, Any]) -> Any:
        number = _number(values)
        with self._session.by(_page_of(values)):
            propose(self._session, number, str(values.get("kind")), values.get("person"))
            return self._session.state(number)

    def _suggest(self, values: dict[str, Any]) -> Any:
        with self._session.by(_page_of(values)):
            pass
        return self._suggestions.ask()  # clicks need not wait for it

    def _undo(self, values: dict[str, Any]) -> Any:
        return self._step(values, self._session.undo)

    def _redo(self, values: dict[str, Any]) -> Any:
        return self._step(values, self._session.redo)

    def _step(self, values: dict[str, Any], step: Callable[[], int | None]) -> Any:
        with self._session.by(_page_of(values)):
            number = step()
            return self._session.state(_number(values) if number is None else number)


def _require_view(number: int) -> None:
    if not 0 <= number < VIEWS:
        raise IndexError(f"view {number}")


class _TooLargeError(Exception):
    pass


async def _body(request: Request) -> bytes:
    """The request's bytes, of which no more are kept than it may have."""
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > LARGEST:
            raise _TooLargeError
    return bytes(content)


def _page_of(values: dict[str, Any]) -> str:
    page = values.get("page")
    if not isinstance(page, str) or not 8 <= len(page) <= 80:
        raise EditError("the page does not say which one it is")
    return page


def _number(values: dict[str, Any]) -> int:
    number = values.get("picture")
    if not isinstance(number, int) or isinstance(number, bool):
        raise EditError("the number of a picture is wanted")
    return number


async def _answer(work: Callable[..., Any], *arguments: Any) -> Response:
    """What work in a thread gives, as JSON; what is wrong as an error that the page shows."""
    return await _guarded(lambda: JSONResponse(work(*arguments), headers=_ALWAYS))


async def _image(work: Callable[..., bytes], kind: str, *arguments: Any) -> Response:
    """The same for a picture, which the browser may keep while the server runs."""
    headers = {**_ALWAYS, "Cache-Control": "private, max-age=3600"}
    return await _guarded(lambda: Response(work(*arguments), headers=headers, media_type=kind))


async def _guarded(work: Callable[[], Response]) -> Response:
    try:
        return await run_in_threadpool(work)
    except OtherPageError:
        return _said("this file is open in another window", 409)
    except IndexError as error:
        return _said(str(error), 404)
    except (EditError, FlowCacheError, ValueError) as error:
        return _said(str(error), 422)
    except ImportError as error:  # of what one detector needs, such as onnxruntime
        return _said(not_loaded(error), 422)
    except ClientDisconnect:
        return _said("gone", 400)
    except OSError as error:  # a full disk, say: the file is as it was
        _LOG.error("%s", error)
        return _said(f"not saved: {error}", 507)


def _said(error: str, status: int) -> Response:
    return JSONResponse({"error": error}, status, headers=_ALWAYS)
