"""The follower's frames: any slicing gives the same; what is no frame is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.errors import RemoteError
from clinasr_tui.remote import frames
from clinasr_tui.remote.follower import CHUNK, HELLO
from clinasr_tui.remote.frames import CaughtUp, DataFrame, FileFrame, FrameDecoder, Hello, Note


def encoded(*parts):
    return b"".join(part if isinstance(part, bytes) else json.dumps(part).encode() + b"\n" for part in parts)


def data(offset, body, number=0):
    return encoded({"t": "data", "f": number, "off": offset, "n": len(body), "age": 0.5}, body)


def joined(found):
    """Frames with the pieces of each file's data put together."""
    bodies, others = {}, []
    for frame in found:
        if isinstance(frame, DataFrame):
            assert frame.offset == len(bodies.setdefault(frame.number, b""))
            bodies[frame.number] += frame.data
        else:
            others.append(frame)
    return bodies, others


@settings(max_examples=60, deadline=None)
@given(
    bodies=st.lists(st.tuples(st.integers(0, 2), st.binary(min_size=1, max_size=50)), max_size=8),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=20),
)
def test_any_slicing_gives_the_same(bodies, cuts):
    stream = b"welcome\n" + HELLO + b"\n"
    sent = {}
    for number, body in bodies:
        stream += data(len(sent.get(number, b"")), body, number)
        sent[number] = sent.get(number, b"") + body
    stream += encoded({"t": "caught_up"})
    decoder, found, at, turn = FrameDecoder("box"), [], 0, 0
    while at < len(stream):
        found += decoder.feed(stream[at : at + cuts[turn % len(cuts)]])
        at += cuts[turn % len(cuts)]
        turn += 1
    assert joined(found) == (sent, [Hello(), CaughtUp()])


def test_headers_become_frames():
    header = {"t": "file", "f": 3, "path": "run/x", "id": "1:2", "size": 9, "off": 4, "why": ""}
    found = FrameDecoder("box").feed(HELLO + b"\n" + encoded(header, {"t": "note", "message": "odd"}))
    assert found == [Hello(), FileFrame(3, "run/x", "1:2", 4, ""), Note("odd")]


def test_greeting_without_a_line_end_is_passed_over():
    assert FrameDecoder("box").feed(b"Last login: today " + HELLO + b"\n") == [Hello()]


@pytest.mark.parametrize(
    "line",
    [
        b"not json\n",
        b'{"t":"surprise"}\n',
        b'{"t":["unhashable"]}\n',
        b'["no object"]\n',
        b'{"t":"data","f":0,"off":0,"n":-1,"age":0}\n',
        b'{"t":"data","f":0,"off":-1,"n":1,"age":0}\n',
        b'{"t":"data","f":0,"off":0,"n":%d,"age":0}\n' % (CHUNK + 1),
        b'{"t":"file","f":0}\n',
        b"x" * (frames._LONGEST_LINE + 1),
    ],
)
def test_what_is_no_frame_is_refused(line):
    decoder = FrameDecoder("box")
    decoder.feed(HELLO + b"\n")
    with pytest.raises(RemoteError, match="box: what the follower sent cannot be understood"):
        decoder.feed(line)


def test_an_endless_greeting_is_refused():
    decoder = FrameDecoder("box")
    with pytest.raises(RemoteError):
        decoder.feed(b"x" * (frames._LONGEST_LINE + 1))
