"""A local HTTP server for tests that answers well or fails in the ways servers and networks fail."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Serves ``files`` (path -> bytes) under a first path part that says how.

    ``/ok/PATH`` sends the file, ``/cut/PATH`` closes the connection in the middle, ``/short/PATH`` sends
    half of it as if that were all, ``/long/PATH`` more than all of it, ``/corrupt/PATH`` a wrong byte,
    ``/stall/PATH`` half of it and then nothing, ``/silent/PATH`` accepts and never answers, ``/STATUS/PATH``
    an error status, ``/page/PATH`` a login page with status 200.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.requests: list[tuple[str, str]] = []  # method, path
        self._release = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                server.requests.append(("HEAD", self.path))
                self.send_response(200)
                self.end_headers()

            def do_GET(self) -> None:
                server.requests.append(("GET", self.path))
                with contextlib.suppress(ConnectionError):
                    server._answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._httpd.server_address[1]}"

    def url(self, how: str) -> str:
        return f"{self.address}/{how}"

    def gets(self) -> int:
        return sum(method == "GET" for method, _ in self.requests)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        how, _, path = handler.path.lstrip("/").partition("/")
        if how.isdigit():
            handler.send_error(int(how))
            return
        if path not in self.files:
            handler.send_error(404)
            return
        if how == "silent":
            self._release.wait(20)
            return
        body = self.files[path]
        length = len(body)
        if how == "page":
            body = b"<html>Please log in</html>"
            length = len(body)
        elif how == "corrupt":
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
        elif how == "long":
            body = body + b"more"
            length = len(body)
        elif how in ("cut", "stall"):
            body = body[: len(body) // 2]
        elif how == "short":
            body = body[: len(body) // 2]
            length = len(body)
        handler.send_response(200)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(body)
        handler.wfile.flush()
        if how == "stall":
            self._release.wait(20)

    def start(self) -> None:
        threading.Thread(
            target=self._httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def stop(self) -> None:
        self._release.set()
        self._httpd.shutdown()
        self._httpd.server_close()


@contextlib.contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    """Run a :class:`Server` for the length of a with-block."""
    server = Server(files)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def closed_port() -> str:
    """An address on this machine where nothing listens: connections are refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
