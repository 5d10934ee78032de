"""The boxes this operator made, on disk: written before `create` is called, read at every start.

One file for the operator, not one a workspace: a box bills whatever folder is open. Every write is complete
or not there (temporary file, flush to the disk, rename), and a lock keeps the app and a headless command
from losing each other's changes.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinasr_tui.box.record import BoxRecord, from_json, to_json
from clinasr_tui.errors import InputError
from clinasr_tui.remote.trust import known_hosts_path

if TYPE_CHECKING:
    from clinasr_tui.box.consent import Consent

SCHEMA = "clinasr.boxes/1"
_FILE, _LOG = "boxes.json", "consents.jsonl"
_MOST_ENDED = 50
"""Boxes that are over are remembered up to this many, the newest ones."""


def state_folder() -> Path:
    """Where the operator's state is kept: the folder of our own known-hosts file."""
    return known_hosts_path(None).parent


class BoxBook:
    """Records of boxes by name. Raises InputError where the file cannot be read or written."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = state_folder() if folder is None else folder
        self.path = self.folder / _FILE
        self.log = self.folder / _LOG

    def read(self) -> tuple[BoxRecord, ...]:
        """Every record, oldest first; none without a file."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(error) from None
        try:
            document = json.loads(text)
            if document["schema"] != SCHEMA:
                raise ValueError(f"its schema is {document['schema']!r}")
            return tuple(from_json(one) for one in document["boxes"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise self._unreadable(error) from None

    def live(self) -> tuple[BoxRecord, ...]:
        """The records that are not over."""
        return tuple(record for record in self.read() if not record.is_over)

    def find(self, name: str) -> BoxRecord | None:
        """The record of this name that is not over."""
        return next((record for record in self.live() if record.name == name), None)

    @contextmanager
    def change(self) -> Iterator[list[BoxRecord]]:
        """Change the list; it is written when the block ends without an error."""
        with self._locked():
            records = list(self.read())
            before = tuple(records)
            yield records
            if tuple(records) != before:
                self._write(records)

    def put(self, record: BoxRecord) -> None:
        """Add a record, or replace the one of that name that is not over."""
        with self.change() as records:
            place = next(
                (at for at, one in enumerate(records) if one.name == record.name and not one.is_over), None
            )
            if place is None:
                records.append(record)
            else:
                records[place] = record

    def write_consent(self, consent: Consent) -> None:
        """Log a consent with time, offer and price; on the disk when this returns."""
        offer = consent.offer
        entry = {
            "id": consent.id,
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(consent.given_at)),
            "typed_at": consent.door,
            "action": consent.action,
            "name": consent.name,
            "type": offer.type,
            "gpu": offer.gpu,
            "gpu_count": offer.gpu_count,
            "disk_gb": offer.disk_gb,
            "price_per_hour": offer.price_per_hour,
            "disk_price_per_gb_month": offer.disk_price,
            "price_source": str(offer.source),
            "stop_when_done": consent.stop_when_done,
        }
        with self._locked(), self._writing(self.log):
            fd = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(fd, (json.dumps(entry) + "\n").encode())
                os.fsync(fd)
            finally:
                os.close(fd)

    def _write(self, records: list[BoxRecord]) -> None:
        over = [record for record in records if record.is_over][-_MOST_ENDED:]
        kept = [record for record in records if not record.is_over or record in over]
        document: dict[str, Any] = {"schema": SCHEMA, "boxes": [to_json(record) for record in kept]}
        data = json.dumps(document, indent=1, allow_nan=False).encode()
        temporary = self.path.with_name(f".{_FILE}.{os.urandom(4).hex()}.tmp")
        with self._writing(self.path):
            try:
                with temporary.open("xb") as stream:
                    stream.write(data)
                    stream.flush()
                    os.fsync(stream.fileno())
                temporary.replace(self.path)
            finally:
                temporary.unlink(missing_ok=True)
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._writing(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.folder / ".boxes.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"the boxes' state cannot be written ({error.strerror}), and nothing is rented without it",
                where=str(path),
                remedy="Make the folder writable and free space on its disk",
            ) from error

    def _unreadable(self, error: Exception) -> InputError:
        return InputError(
            f"the boxes' state cannot be read ({getattr(error, 'strerror', None) or error})",
            where=str(self.path),
            remedy="See with `brev ls` what bills, then repair this file or move it away",
        )
