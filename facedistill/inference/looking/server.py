"""The page of `facedistill demo`, for this machine alone: it compares two photographs, and keeps nothing.

GET / gives the page. POST /verify takes {"a": …, "b": …}, two photographs in base64, and answers in JSON.
An error is {"error": …}, with the reason.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import TCPServer
from threading import BoundedSemaphore
from typing import Any

from facedistill.inference.face import PhotographError
from facedistill.inference.looking.comparison import Comparison

LARGEST = 20 * 2**20
"""The largest photograph, in bytes."""

TOO_LARGE = f"a photograph of more than {LARGEST // 2**20} MB; make it smaller"

BODY = 2 * (4 * LARGEST // 3) + 2**10
"""The largest request, in bytes. Base64 has four letters for three bytes."""

AT_ONCE = 4
"""How many comparisons are taken at a time. One runs, the others wait with their photographs in memory."""

SECONDS = 30
"""How long a request may stand still."""

PAGES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
"""The files of the page, and their types, by their paths. There are no others."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""The page may load its own files and photographs that it was given, and nothing else. No browser keeps an answer."""


class Refused(Exception):
    """A request that is answered with an error: its status, and a sentence."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Server(ThreadingHTTPServer):
    """Serves the page on 127.0.0.1, until `serve_forever` is interrupted.

    port: 0 for a free one.

    Raises OSError if the port is taken.
    """

    def __init__(self, comparison: Comparison, port: int = 0) -> None:
        self.comparison, self.places = comparison, BoundedSemaphore(AT_ONCE)
        here = files(__package__)
        self.files = {path: (here.joinpath(name).read_bytes(), kind) for path, (name, kind) in PAGES.items()}
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def address(self) -> str:
        """Where a browser finds the page."""
        return f"http://127.0.0.1:{self.server_port}/"

    def server_bind(self) -> None:
        """Take the port. HTTPServer would also ask the network for the name of this machine."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the traceback of a defect. That a browser closes a connection is none."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "facedistill", ""
    timeout = SECONDS
    _taken = False

    def do_GET(self) -> None:
        self._answer(self._page)

    def do_POST(self) -> None:
        self._answer(self._verify)

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing about anybody's requests."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with an error in JSON, also to what is no HTTP."""
        self._send(code, json.dumps({"error": message or HTTPStatus(code).phrase}).encode(), "application/json")

    def _answer(self, make: Callable[[], tuple[bytes, str]]) -> None:
        try:
            self._check_sender()
            self._send(HTTPStatus.OK, *make())
        except Refused as refused:
            self._pass_over_body()
            self.send_error(refused.status, str(refused))
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, "a defect of this program; its terminal says more")
            raise

    def _check_sender(self) -> None:
        """Refuse what another page of the web sends: by its own name for this machine, or from its own address."""
        own = {f"{name}:{self.server.server_port}" for name in ("127.0.0.1", "localhost")}
        hosts, origins = (self.headers.get_all(name, []) for name in ("Host", "Origin"))
        if len(hosts) != 1 or hosts[0] not in own or not {*origins} <= {f"http://{host}" for host in own}:
            raise Refused(HTTPStatus.FORBIDDEN, f"only the page at {self.server.address} may ask")

    def _page(self) -> tuple[bytes, str]:
        if self.path not in self.server.files:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")
        return self.server.files[self.path]

    def _verify(self) -> tuple[bytes, str]:
        if self.path != "/verify":
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")
        # A form of another page can send other types without being asked first.
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json")
        if not (length := self.headers.get("Content-Length", "")).isdecimal():
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "expected Content-Length")
        if int(length) > BODY:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        if not self.server.places.acquire(blocking=False):
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many comparisons at a time; try again")
        try:
            self._taken = True
            photographs = _photographs(self.rfile.read(int(length)))
            return json.dumps(self.server.comparison.of(photographs)).encode(), "application/json"
        except PhotographError as error:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        finally:
            self.server.places.release()

    def _pass_over_body(self) -> None:
        """Read what was sent with a request that is refused: a browser that still sends would not read the answer."""
        length = self.headers.get("Content-Length", "")
        left = min(int(length), 4 * BODY) if length.isdecimal() and not self._taken else 0
        while left > 0 and (part := self.rfile.read(min(left, 2**16))):
            left -= len(part)

    def _send(self, code: int, body: bytes, kind: str) -> None:
        self.close_connection = True
        self.send_response(code)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _photographs(body: bytes) -> tuple[bytes, bytes]:
    """The photographs of a request. Raises Refused if there are not two."""
    try:
        sent = json.loads(body)
        first, second = (b64decode(sent[name], validate=True) for name in ("a", "b"))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Refused(HTTPStatus.BAD_REQUEST, "expected two photographs, a and b, in base64") from None
    if max(len(first), len(second)) > LARGEST:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
    return first, second
