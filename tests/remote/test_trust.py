"""Our own known-hosts file: written line by line, private, never replacing a key."""

from __future__ import annotations

import stat
from pathlib import Path

import asyncssh
import pytest

from clinasr_tui.errors import HostKeyError, InputError
from clinasr_tui.remote.trust import keys_of, known_hosts_path, read_known_hosts, remember


def first_contact(host="box", port=22, known=()):
    key = asyncssh.generate_private_key("ssh-ed25519")
    return HostKeyError(
        "not known",
        where=host,
        remedy="",
        host=host,
        port=port,
        fingerprint=key.get_fingerprint(),
        public_key=key.export_public_key().decode(),
        known=known,
    )


def test_default_place_is_the_state_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert known_hosts_path(None) == tmp_path / "clinasr-tui" / "known_hosts"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert known_hosts_path(None) == Path.home() / ".local/state/clinasr-tui/known_hosts"
    assert known_hosts_path(tmp_path / "mine") == tmp_path / "mine"


def test_keys_are_added_line_by_line_in_a_private_file(tmp_path):
    path = tmp_path / "state" / "known_hosts"
    one, two = first_contact(), first_contact("10.0.0.7", 2222)
    remember(one, path)
    remember(two, path)
    remember(two, path)
    assert path.read_text() == f"box {one.public_key.strip()}\n[10.0.0.7]:2222 {two.public_key.strip()}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    known = read_known_hosts(path)
    assert [key.get_fingerprint() for key in keys_of("10.0.0.7", 2222, known)] == [two.fingerprint]
    assert keys_of("10.0.0.7", 22, known) == []
    assert keys_of("box", 2222, known) == []


def test_a_file_without_a_last_line_end_is_not_spoilt(tmp_path):
    path = tmp_path / "known_hosts"
    one, two = first_contact("one"), first_contact("two")
    path.write_text(f"one {one.public_key.strip()}")
    remember(two, path)
    assert len(keys_of("one", 22, read_known_hosts(path))) == 1
    assert len(keys_of("two", 22, read_known_hosts(path))) == 1


def test_a_second_key_for_a_host_is_refused(tmp_path):
    path = tmp_path / "known_hosts"
    remember(first_contact(), path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="not replaced"):
        remember(first_contact(), path)
    with pytest.raises(InputError, match="not replaced"):
        remember(first_contact("other", known=("SHA256:old",)), path)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot"):
        remember(first_contact(), tmp_path / "file" / "known_hosts")
