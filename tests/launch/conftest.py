"""What the tests of launching share: a real Docker engine and a real sshd with its key confirmed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.dockerd import Dockerd
from tests.support.sshd import Sshd


@pytest.fixture
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """OpenSSH's own server on loopback; its host is called "lab"."""
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        server.trust()
        yield server


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    """A Docker engine with the image that stands in for NeMo's."""
    with Dockerd() as engine:
        engine.import_stand_in()
        yield engine
