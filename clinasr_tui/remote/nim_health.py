"""Ask a running NIM whether it is ready: GET /v1/health/ready."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from contextlib import suppress
from typing import NamedTuple

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.text import visible

HTTP_PORT = 9000
TIMEOUT_SECONDS = 5.0
"""For the connection, and again for the whole answer."""
_PATH = "/v1/health/ready"
_MOST_BYTES = 64 << 10
_READY = ("ready", "service is ready.", "service is ready")
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")


class NimHealth(NamedTuple):
    """What a NIM answered; `said` is one line of it, safe to show."""

    address: str
    ready: bool
    status: int
    said: str


def parse_address(text: str) -> tuple[str, int]:
    """`HOST:PORT`, `[IPv6]:PORT` (a zone after `%`) or `HOST` (port 9000). Raises InputError."""
    found = _ADDRESS.fullmatch(text.strip())
    port = int(found[3] or HTTP_PORT) if found else 0
    if found is None or not 0 < port < 65536 or not (found[1] or _is_name(found[2])):
        remedy = f"Give HOST:PORT, for example localhost:{HTTP_PORT}"
        raise InputError(f"{visible(text)!r} is no address", remedy=remedy)
    return found[1] or found[2], port


def _is_name(host: str) -> bool:
    """True if the resolver can be asked: it raises UnicodeError for a part that is empty or too long."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def nim_health(address: str) -> NimHealth:
    """Ask once; blocks for ten seconds at most beside the name's look-up.

    Ready is only what answers 200 and says "ready". Raises InputError for what is no address, RemoteError
    where nothing answers or what answers speaks no HTTP.
    """
    host, port = parse_address(address)
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.connect()
        # A socket's own limit begins anew with every byte: a server that drips would hold us for ever.
        alarm = threading.Timer(TIMEOUT_SECONDS, _hang_up, [connection.sock])
        alarm.daemon = True
        alarm.start()
        try:
            connection.request("GET", _PATH, headers={"Accept": "application/json", "Connection": "close"})
            answer = connection.getresponse()
            return _judged(shown, answer.status, answer.read(_MOST_BYTES))
        finally:
            alarm.cancel()
    except http.client.RemoteDisconnected:
        raise RemoteError("hung up without an answer", where=shown, remedy=_WRONG_PORT) from None
    except http.client.HTTPException:
        raise RemoteError("does not answer in HTTP", where=shown, remedy=_WRONG_PORT) from None
    except TimeoutError:
        limit = f"{TIMEOUT_SECONDS:g} s"
        raise RemoteError(f"no answer within {limit}", where=shown, remedy=_NOT_THERE) from None
    except OSError as error:
        why = error.strerror or str(error)
        raise RemoteError(f"cannot be reached ({why})", where=shown, remedy=_NOT_THERE) from None
    finally:
        connection.close()


_WRONG_PORT = f"Is it the gRPC port? The NIM's HTTP port is {HTTP_PORT} unless set otherwise"
_NOT_THERE = "Is the NIM started, and the port open from here? docker ps and docker logs tell"


def _hang_up(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _judged(address: str, status: int, body: bytes) -> NimHealth:
    """Ready if the answer is 200 and it says so: `ready` is true, or `status` (or `message`) is "ready"."""
    text = " ".join(body.decode(errors="replace").split())
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    told = document if isinstance(document, dict) else {}
    words = [word.strip().lower() for key in ("status", "message") if isinstance(word := told.get(key), str)]
    says_so = told.get("ready") is True or any(word in _READY for word in words)
    said = visible(text[:160]) or "an empty answer"
    return NimHealth(address, status == http.client.OK and says_so, status, said)
