"""Which keys the ssh config names, and how asyncssh is told of them so that it does as OpenSSH does."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh

from clinasr_tui.errors import InputError
from clinasr_tui.text import typed_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncssh.config import SSHConfig

_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
_NO_IDENTITY = b""


def identity_options(config: SSHConfig) -> dict[str, Any]:
    """Connection options for the IdentityFile lines; {} without any.

    By itself asyncssh stops at a named file that is missing, and with IdentitiesOnly never asks an agent
    for a key whose private half is encrypted. Raises InputError for a file that is no key.
    """
    named = config.get("IdentityFile")
    if not isinstance(named, list) or not named:
        return {}
    private: list[str] = []
    public: list[str] = []
    for path in (typed_path(str(name)) for name in named):
        companion = path.with_name(f"{path.name}.pub")
        if companion.is_file():
            public.append(str(companion))
        if path.is_file():
            private += [str(path)] if _is_private(path) else []
            public.append(str(path))
    options: dict[str, Any] = {"client_keys": private, "ignore_encrypted": True}
    if config.get("IdentitiesOnly"):
        # An empty list would mean all keys of the agent.
        options["agent_identities"] = _public_data(public) or [_NO_IDENTITY]
    return options


def identity_files(config: SSHConfig) -> Iterator[Path]:
    """Private keys that were there to be tried."""
    configured = config.get("IdentityFile")
    names = configured if isinstance(configured, list) else [f"~/.ssh/{name}" for name in _DEFAULT_KEYS]
    for name in names:
        path = typed_path(str(name))
        if path.is_file():
            yield path


def is_encrypted(path: Path) -> bool:
    """True for a private key that needs a passphrase."""
    try:
        asyncssh.read_private_key(path)
    except asyncssh.KeyImportError as error:
        return "passphrase" in str(error).lower()
    except (OSError, ValueError):
        return False
    return False


def _is_private(path: Path) -> bool:
    """True for a private key, False for a public one. Raises InputError for anything else."""
    try:
        asyncssh.read_private_key(path)
    except OSError as error:
        what = f"the key cannot be read: {error.strerror}"
        raise InputError(what, where=str(path), remedy="Make it readable for you (chmod 600).") from error
    except (asyncssh.KeyImportError, ValueError) as error:
        if is_encrypted(path):
            return True
        if not _public_data([str(path)]):
            remedy = "Name a private key with IdentityFile in the ssh config, or remove the line."
            raise InputError("this is no SSH key", where=str(path), remedy=remedy) from error
        return False
    return True


def _public_data(paths: list[str]) -> list[bytes]:
    """The public keys in files, of those that hold any."""
    found = []
    for path in paths:
        with suppress(OSError, ValueError, asyncssh.KeyImportError):
            found.append(asyncssh.read_public_key(path).public_data)
    return found
