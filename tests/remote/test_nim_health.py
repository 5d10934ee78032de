"""Is a NIM ready: asked of a strict stand-in over real HTTP, and of ports that are no NIM."""

from __future__ import annotations

import time

import pytest

from clinasr_tui.errors import InputError, RemoteError
from clinasr_tui.remote import nim_health as module
from clinasr_tui.remote.nim_health import nim_health, parse_address
from tests.support.nim import raw_port, stand_in_nim


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "ready"},
        {"object": "health.response", "message": "ready", "status": "READY"},
        {"ready": True},
    ],
)
def test_a_ready_nim_is_ready(answer):
    with stand_in_nim(200, answer) as nim:
        found = nim_health(nim.address)
    assert (found.ready, found.status, found.address) == (True, 200, nim.address)
    assert nim.seen == ["GET /v1/health/ready"]


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (503, {"status": "not ready"}),
        (503, {"status": "ready"}),
        (200, {"status": "not ready"}),
        (200, {"status": None}),
        (200, {"ready": False}),
        (200, {"ready": "true"}),
        (503, {"ready": True}),
        (200, ["ready"]),
        (200, b"ready"),
        (200, b"{" * 60_000),
        (404, {"detail": "Not Found"}),
        (302, {"status": "ready"}),
    ],
)
def test_anything_else_is_not(status, answer):
    with stand_in_nim(status, answer) as nim:
        found = nim_health(nim.address)
    assert (found.ready, found.status) == (False, status)


def test_what_it_says_is_safe_to_show():
    with stand_in_nim(503, b'{"message": "\x1b[2Jgone\n\n' + b"x" * 5000) as nim:
        said = nim_health(nim.address).said
    assert "\x1b" not in said
    assert "\n" not in said
    assert len(said) <= 160


def test_no_answer_is_one_line_within_the_limit(monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2)
    begun = time.monotonic()
    with raw_port(b"", hang=True) as address, pytest.raises(RemoteError) as told:
        nim_health(address)
    assert time.monotonic() - begun < 3
    assert address in str(told.value)


@pytest.mark.parametrize(
    "begun",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{", b"HTTP/1.1 200 OK\r\nX:", b"HTTP/1.1 "],
    ids=["its body", "a header", "its first line"],
)
def test_an_answer_that_never_ends_is_cut_off(monkeypatch, begun):
    """Every byte begins the socket's own limit anew; the whole answer has one too."""
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.4)
    started = time.monotonic()
    with raw_port(begun, drip=0.1) as address:
        try:
            assert not nim_health(address).ready
        except RemoteError as error:
            assert address in str(error)  # noqa: PT017
        assert time.monotonic() - started < 4


def test_an_endless_answer_is_read_in_part():
    """What says "ready" behind a megabyte was not read, so nothing is known of it."""
    with stand_in_nim(200, {"ready": True, "more": "x" * (1 << 20)}) as nim:
        found = nim_health(nim.address)
    assert not found.ready
    assert len(found.said) <= 160


@pytest.mark.parametrize("reply", [b"", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", b"SSH-2.0-x\r\n"])
def test_a_port_that_speaks_no_http_is_named(reply):
    with raw_port(reply) as address, pytest.raises(RemoteError, match="gRPC port"):
        nim_health(address)


def test_a_closed_port_is_one_line():
    with stand_in_nim() as nim:
        address = nim.address
    with pytest.raises(RemoteError, match="cannot be reached") as told:
        nim_health(address)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("localhost:9000", ("localhost", 9000)),
        ("gpu-box", ("gpu-box", 9000)),
        ("[::1]:80", ("::1", 80)),
        (" 10.0.0.1:8000 ", ("10.0.0.1", 8000)),
        ("[fe80::1%eth0]:9000", ("fe80::1%eth0", 9000)),
        ("gpu.example.", ("gpu.example.", 9000)),
        ("a" * 63 + ".b:1", ("a" * 63 + ".b", 1)),
    ],
)
def test_addresses(text, parts):
    assert parse_address(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        *("", ":9000", "http://x:1", "a b:1", "x:0", "x:65536", "x:y", "x\r\ny:1", "x:1/"),
        *("a..b:9000", "10.0..5:9000", ".", "x" * 64, "[::1%]:1", "[::1%a b]:1", "[%eth0]:1", "a%b:1"),
    ],
)
def test_what_is_no_address_is_one_line(text):
    with pytest.raises(InputError, match="no address"):
        parse_address(text)
