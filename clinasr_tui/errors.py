"""Errors an operator may see: one line that says what, where and what to do next.

Exit codes follow the command-line contract: 0 yes/done, 1 the check says no, 2 bad usage or
unreadable input, 3 remote or infrastructure failure, 4 the operator declined.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command."""

    OK = 0
    NO = 1
    INPUT = 2
    REMOTE = 3
    DECLINED = 4


class ClinasrError(Exception):
    """An error with everything its one line needs.

    `what` says what is wrong, `where` names the place (`file:line`, a host), `remedy` the next step.
    """

    exit_code = ExitCode.INPUT

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        if self.remedy:
            line = f"{line.rstrip('.')}. {self.remedy}"
        return " ".join(line.split())

    def in_form(self) -> ClinasrError:
        """The same, for one who sees a form and not the command's options."""
        return self


class InputError(ClinasrError):
    """A file, folder or argument cannot be used as it is (exit code 2)."""


class ChoiceError(InputError):
    """A choice has to be another one: of a form's field or a command's option, whichever it was made by."""

    def __init__(self, what: str, *, choice: str, remedy: str, option: str, where: str | None = None) -> None:
        """`choice` names the form's field; `option` is what `remedy` means on the command line."""
        super().__init__(what, where=where, remedy=f"{remedy} ({option})")
        self.choice = choice
        self._in_form = remedy

    def in_form(self) -> ClinasrError:
        """Without the command's option."""
        return InputError(self.what, where=self.where, remedy=self._in_form)


class RemoteError(ClinasrError):
    """A host, connection or service failed (exit code 3)."""

    exit_code = ExitCode.REMOTE


class HostKeyError(RemoteError):
    """The host's key is not one the operator has confirmed.

    `known` holds the fingerprints confirmed before: empty for a first contact, not empty when the
    key has changed. A changed key is never offered for confirmation.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str,
        remedy: str,
        host: str,
        port: int,
        fingerprint: str,
        public_key: str,
        known: tuple[str, ...] = (),
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.host = host
        self.port = port
        self.fingerprint = fingerprint
        self.public_key = public_key
        self.known = known

    @property
    def changed(self) -> bool:
        """True if another key had been confirmed for this host before."""
        return bool(self.known)
