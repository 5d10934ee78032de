"""The mirror: bytes as they came, resumed from what is really there, never outside its folder."""

from __future__ import annotations

import hashlib
import json

import pytest

from clinasr_tui.remote.mirror import Mirror, safe_path


def filled(folder, data=b"one\n", path="console.log"):
    mirror = Mirror(folder, "box:/run")
    mirror.begin(path, "1:1")
    mirror.append(path, data)
    return mirror


@pytest.mark.parametrize(
    "path",
    [
        "/etc/console.log",
        "../console.log",
        "a/../../events.out.tfevents.1",
        "./console.log",
        "a//events.out.tfevents.1",
        "a/b/c/d/events.out.tfevents.1",
        "notes.txt",
        "state.json",
        ".lock",
        "",
        "console.log~2",
        "earlier~1/events.out.tfevents.1",
        "events.out.tfevents.1\n",
        "events.out.tfevents.\x1b[2J",
        "events.out.tfevents.\udcff",
        "events.out.tfevents." + "x" * 300,
    ],
)
def test_paths_from_the_host_stay_inside(path):
    assert not safe_path(path)


@pytest.mark.parametrize(
    "path", ["console.log", "rc", "run/events.out.tfevents.1.vm.2.0", "a/b/c/events.out.tfevents.1"]
)
def test_watched_files_are_taken(path):
    assert safe_path(path)


def test_resumes_from_the_bytes_really_there(tmp_path):
    """A crash may leave more or fewer bytes than anything written down says."""
    mirror = filled(tmp_path)
    mirror.close()
    with (tmp_path / "console.log").open("ab") as file:
        file.write(b"two\n")
    again = Mirror(tmp_path, "box:/run")
    tail = hashlib.sha256(b"one\ntwo\n").hexdigest()
    assert again.have() == {"console.log": {"offset": 8, "id": "1:1", "tail": tail}}
    assert [(path, name, piece) for path, name, piece, _ in again.history()] == [
        ("console.log", "console.log", b"one\ntwo\n")
    ]
    again.close()


def test_starting_over_keeps_the_old_bytes_under_their_name(tmp_path):
    mirror = filled(tmp_path)
    mirror.start_over("console.log", "1:2")
    mirror.append("console.log", b"new\n")
    assert mirror.name("console.log") == "console.log~2"
    mirror.close()
    again = Mirror(tmp_path, "box:/run")
    assert again.size("console.log") == 4
    pieces = [(name, piece) for _, name, piece, _ in again.history()]
    assert pieces == [("console.log", b"one\n"), ("console.log", b""), ("console.log~2", b"new\n")]
    again.close()


def test_one_process_at_a_time(tmp_path):
    first = filled(tmp_path)
    second = Mirror(tmp_path, "box:/run")
    assert not first.shared
    assert second.shared
    assert second.folder != tmp_path
    first.close()
    third = Mirror(tmp_path, "box:/run")
    assert not third.shared
    third.close()


def test_temporary_mirror_goes_with_its_object():
    mirror = Mirror(None, "box:/run")
    folder = mirror.folder
    assert folder.is_dir()
    del mirror
    assert not folder.exists()


@pytest.mark.parametrize(
    "state",
    [
        "",
        "[]",
        '{"source": "box:/run"}',
        '{"source": "box:/run", "files": []}',
        '{"source": "box:/run", "files": {"console.log": {"generation": "x"}}}',
    ],
)
def test_unreadable_state_is_put_aside_and_nothing_is_lost(tmp_path, state):
    filled(tmp_path).close()
    (tmp_path / "state.json").write_text(state)
    mirror = Mirror(tmp_path, "box:/run")
    assert mirror.have() == {}
    assert (tmp_path / "earlier~1" / "console.log").read_bytes() == b"one\n"
    mirror.close()


def test_state_naming_files_outside_is_not_followed(tmp_path):
    mirror = filled(tmp_path / "mirror")
    mirror.close()
    (tmp_path / "secret").write_bytes(b"secret")
    state = json.loads((tmp_path / "mirror" / "state.json").read_text())
    state["files"]["../secret"] = {"generation": 1, "id": ""}
    (tmp_path / "mirror" / "state.json").write_text(json.dumps(state))
    again = Mirror(tmp_path / "mirror", "box:/run")
    assert set(again.have()) == {"console.log"}
    again.close()
