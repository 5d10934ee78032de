"""A stand-in for a NIM's HTTP port. It is none, and says so in its Server header.

It is strict: anything but a well-formed GET /v1/health/ready is answered 404 and remembered.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StandInNim(ThreadingHTTPServer):
    """Answers with `status` and `body`; `seen` holds what was asked."""

    daemon_threads = True

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.body = status, body
        self.seen: list[str] = []

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server_version = "stand-in-not-a-NIM/1"
    server: StandInNim

    def do_GET(self) -> None:
        self.server.seen.append(f"{self.command} {self.path}")
        known = self.path == "/v1/health/ready" and "Host" in self.headers
        body = self.server.body if known else b'{"detail": "Not Found"}'
        self.send_response(self.server.status if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def stand_in_nim(status: int = 200, answer: object = None) -> Iterator[StandInNim]:
    """A running stand-in; `answer` is its body, JSON unless it is bytes."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer or {"status": "ready"}).encode()
    server = StandInNim(status, body)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def raw_port(reply: bytes, *, hang: bool = False, drip: float = 0) -> Iterator[str]:
    """A port that sends some bytes to whoever connects, and hangs up unless it is to `hang`.

    With `drip` it sends a space every so many seconds afterwards, for ten seconds or till nobody listens.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        with listener.accept()[0] as connection, suppress(ConnectionError):
            connection.recv(4096)
            connection.sendall(reply)
            for _ in range(int(10 / drip) if drip else 0):
                if done.wait(drip):
                    break
                connection.sendall(b" ")
            if hang:
                done.wait(10)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        thread.join()
        listener.close()
