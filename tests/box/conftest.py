"""What the tests of rented machines share: a real sshd with its key confirmed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.sshd import Sshd


@pytest.fixture
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """OpenSSH's own server on loopback; its host is called "lab"."""
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        server.trust()
        yield server
