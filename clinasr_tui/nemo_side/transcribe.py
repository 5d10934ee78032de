"""Transcribe a manifest with NeMo's own offline transcribe(), row by row accounted for.

    python3 transcribe.py SPEC.json

It runs where NeMo is and needs the standard library and nemo only. SPEC holds {"model": str (a .nemo or a
pretrained name), "manifest": str, "out": str, "batch_size": n, "device": "auto" | "cpu" | "cuda"}; relative
audio paths start at the manifest's folder. audio_check.py stands beside this script. With "best_of" (a run's
folder of checkpoints) the model is first made of the best one, by export_checkpoint.py, beside it as well.
Each batch is appended to `out` at once, one object a row: the manifest's audio_filepath, its text as ref, hyp
and the clinical fields; a row that cannot be transcribed has "hyp": "" and "error". Rows that are in `out`
already are not done again; with "retry" those with an error are. A batch that does not fit into memory is
halved. Standard output holds lines of JSON:
{"t": "start" | "progress" | "row_error" | "note" | "refused" | "end", ..}.
"""

# It also runs under the Python of NeMo's container: plain os calls, no `X | Y` at run time.
# ruff: noqa: PTH118, PTH120, PTH123, UP031

import contextlib
import gc
import json
import os
import platform
import sys
import time
from typing import Any

try:  # where NeMo is it stands beside this script
    from audio_check import AudioFault, seconds_of  # type: ignore[import-not-found]
except ImportError:
    from clinasr_tui.nemo_side.audio_check import AudioFault, seconds_of

FIELDS = ("term", "entity_category", "ipa_source", "voice_id", "noise_level", "context_type")
KEPT = ".kept"
"""Beside `out` while failed rows are tried again: the rows of before."""
OUT_OF_MEMORY = ("out of memory", "cublas_status_alloc_failed", "cudnn_status_alloc_failed")
NO_ROOM_AFTER = 3
"""Rows that do not fit alone, before any was heard, after which no other is tried: each costs a new model."""


def say(kind: str, **what: object) -> None:
    """One line for whoever follows."""
    sys.stdout.write(json.dumps(dict(t=kind, **what)) + "\n")
    sys.stdout.flush()


def read_rows(manifest: str) -> "list[dict[str, Any]]":
    """The manifest's rows."""
    with open(manifest, encoding="utf-8-sig") as stream:
        return [json.loads(line) for line in stream if line.strip()]


def done_rows(out: str, rows: "list[dict[str, Any]]") -> "list[bytes]":
    """The lines of the rows that `out` holds; one that was cut off is removed.

    Raises ValueError if `out` belongs to another manifest.
    """
    try:
        with open(out, "rb+") as stream:
            content = stream.read()
            whole = content.rfind(b"\n") + 1
            stream.truncate(whole)
    except OSError:
        return []
    lines = content[:whole].splitlines(keepends=True)
    for number, line in enumerate(lines):
        audio = json.loads(line.decode("utf-8")).get("audio_filepath")
        if number >= len(rows) or rows[number].get("audio_filepath") != audio:
            raise ValueError("%s:%d is of another manifest: choose another file" % (out, number + 1))
    return lines


def set_aside(out: str, lines: "list[bytes]") -> None:
    """Put the rows there are beside `out`, which begins anew: those without an error come back from there."""
    with open(out + ".new", "wb") as stream:
        stream.writelines(lines)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(out + ".new", out + KEPT)  # noqa: PTH105
    with open(out, "wb"):
        pass


def has_error(line: bytes) -> bool:
    """True for a row without a transcript."""
    return bool(json.loads(line.decode("utf-8")).get("error"))


class NoRoomError(Exception):
    """Not one row fits into memory."""


class Transcriber:
    """The model, and how many rows fit into memory at a time."""

    spoilt = False
    """Memory ran out: NeMo's decoder may be half made then (its CUDA graphs), and fails ever after."""
    starved = 0
    """Rows that did not fit alone, as long as none was heard; -1 from the first one heard on."""
    tried = 0
    """Rows that did not fit together, of the batch at hand."""
    too_long = False
    """A row did not fit alone: with the next one that is heard it is known that others do, as before."""

    def __init__(self, spec: "dict[str, Any]") -> None:
        import torch

        self.torch = torch
        wanted = str(spec.get("device", "auto"))
        self.device = wanted if wanted != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        self.source = str(spec["model"])
        self.model = load(self.source, self.device)
        self.batch_size = int(spec.get("batch_size") or 0) or (32 if self.device == "cuda" else 8)

    def texts(self, paths: "list[str]") -> "list[str]":
        """What is heard in the files, in their order."""
        if self.spoilt:
            self.reload()
        with self.torch.inference_mode():
            found = self.model.transcribe(paths, batch_size=len(paths), num_workers=0, verbose=False)
        # RNNT models of some versions return (best, all) hypotheses.
        best = found[0] if isinstance(found, tuple) else found
        if len(best) != len(paths):
            # A file that breaks off is dropped: whose text is whose is not known any more.
            raise ValueError("%d of %d files were read" % (len(best), len(paths)))
        return [one if isinstance(one, str) else one.text for one in best]

    def reload(self) -> None:
        """The model as it was at first."""
        self.model = None
        gc.collect()
        with contextlib.suppress(Exception):
            self.torch.cuda.empty_cache()
        self.model = load(self.source, self.device)
        self.spoilt = False

    def batch(self, paths: "list[str]") -> "list[tuple[str, str]]":
        """(text, error) for each file; what does not fit is halved, what fails goes row by row."""
        self.tried = 0
        return self.heard(paths)

    def heard(self, paths: "list[str]") -> "list[tuple[str, str]]":
        """The same for a part of a batch."""
        try:
            found = [(text, "") for text in self.texts(paths)]
        except Exception as error:
            what = "%s: %s" % (type(error).__name__, " ".join(str(error).split())[:200])
        else:
            self.starved = -1
            if self.too_long:
                self.batch_size, self.too_long = max(self.batch_size, self.tried), False
            return found
        short = any(part in what.lower() for part in OUT_OF_MEMORY)
        self.spoilt |= short
        if len(paths) == 1:
            self.too_long |= short
            self.starved += short and self.starved >= 0
            if self.starved >= NO_ROOM_AFTER:
                raise NoRoomError("not one row fits into memory, free some (see nvidia-smi): %s" % what)
            return [("", what)]
        if short:
            self.tried = max(self.tried, len(paths))
            self.batch_size = max(1, min(self.batch_size, len(paths)) // 2)
            say("note", message="out of memory: going on with %d rows at a time" % self.batch_size)
        found = []
        while len(found) < len(paths):
            size = self.batch_size if short else 1
            found += self.heard(paths[len(found) : len(found) + size])
        return found


def load(model: str, device: str) -> "Any":
    """The model, ready to transcribe: restored models come in training mode."""
    import logging

    from nemo.collections.asr.models import ASRModel
    from nemo.utils import logging as nemo_logging

    with contextlib.suppress(Exception):
        nemo_logging.setLevel(logging.ERROR)
    if model.endswith(".nemo"):
        found = ASRModel.restore_from(model, map_location=device)
    else:
        found = ASRModel.from_pretrained(model, map_location=device)
    return found.eval()


def versions(transcriber: "Transcriber") -> "dict[str, str]":
    """What is at work."""
    import nemo

    name = transcriber.torch.cuda.get_device_name() if transcriber.device == "cuda" else platform.processor()
    return {
        "nemo": str(nemo.__version__),
        "torch": str(transcriber.torch.__version__),
        "python": platform.python_version(),
        "device": name or transcriber.device,
    }


def row_of(row: "dict[str, Any]", text: str, error: str) -> bytes:
    """A transcribed row, as the scorer reads it."""
    found = {"audio_filepath": row.get("audio_filepath"), "ref": row.get("text"), "hyp": text}
    found.update((name, row[name]) for name in FIELDS if name in row)
    if error:
        found["error"] = error
    return as_json(found) + b"\n"


def as_json(row: "dict[str, Any]") -> bytes:
    """A row as one line; a lone surrogate (of a file name that is not UTF-8) stays what it is, escaped."""
    try:
        return json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(row).encode()


class Job:
    """One manifest on its way."""

    def __init__(self, spec: "dict[str, Any]") -> None:
        out = str(spec["out"])
        self.spec = spec
        self.folder = os.path.dirname(os.path.abspath(str(spec["manifest"])))  # noqa: PTH100
        self.rows = read_rows(str(spec["manifest"]))
        there, before = done_rows(out, self.rows), done_rows(out + KEPT, self.rows)
        if spec.get("retry"):
            before, there = [*there, *before[len(there) :]], []
            set_aside(out, before)
        self.there = len(there)
        # By place: rows of before that need not be done again.
        self.kept = {at: line for at, line in enumerate(before) if at >= self.there and not has_error(line)}
        self.resumed = self.done = self.there + len(self.kept)
        self.heard = 0.0
        self.errors = 0
        self.begun = time.monotonic()

    def run(self) -> None:
        """All rows that are not there yet."""
        if self.done < len(self.rows):
            self.transcriber = Transcriber(self.spec)
            self.start()
        with open(str(self.spec["out"]), "ab") as out:
            while self.there < len(self.rows):
                places = range(self.there, self.stretch())
                own = [at for at in places if at not in self.kept]
                found = dict(zip(own, self.transcribed(own))) if own else {}  # noqa: B905
                out.write(b"".join(found[at] if at in found else self.kept[at] for at in places))
                out.flush()
                os.fsync(out.fileno())
                self.there = places.stop
                self.done += len(own)
                self.report("progress")
        with contextlib.suppress(OSError):
            os.remove(str(self.spec["out"]) + KEPT)  # noqa: PTH107

    def stretch(self) -> int:
        """The end of the next rows that hold one batch, kept ones between and after them included."""
        left = self.transcriber.batch_size if self.done < len(self.rows) else 0
        at = self.there
        while at < len(self.rows) and (left or at in self.kept):
            left -= 0 if at in self.kept else 1
            at += 1
        return at

    def start(self) -> None:
        """Say what is at work."""
        say(
            "start",
            total=len(self.rows),
            resumed=self.resumed,
            batch_size=self.transcriber.batch_size,
            device=self.transcriber.device,
            versions=versions(self.transcriber),
        )
        self.begun = time.monotonic()

    def transcribed(self, places: "list[int]") -> "list[bytes]":
        """The rows at these places with what was heard, or why not."""
        faults, paths, seconds = {}, [], 0.0
        for place in places:
            name = str(self.rows[place].get("audio_filepath"))
            path = os.path.join(self.folder, os.path.expanduser(name))  # noqa: PTH111
            try:
                seconds += seconds_of(path)
                paths.append(path)
            except AudioFault as fault:
                faults[place] = str(fault)
        heard = iter(self.transcriber.batch(paths) if paths else [])
        self.heard += seconds
        found = []
        for place in places:
            row = self.rows[place]
            text, error = ("", faults[place]) if place in faults else next(heard)
            if error:
                self.errors += 1
                say("row_error", row=place + 1, audio=row.get("audio_filepath"), message=error)
            found.append(row_of(row, text, error))
        return found

    def report(self, kind: str) -> None:
        """How far it is; `rtf` is wall time over audio time of what this start has done."""
        took = time.monotonic() - self.begun
        say(
            kind,
            done=self.done,
            total=len(self.rows),
            resumed=self.resumed,
            errors=self.errors,
            audio_seconds=round(self.heard, 2),
            seconds=round(took, 2),
            rtf=round(took / self.heard, 5) if self.heard else None,
        )


def make_model(spec: "dict[str, Any]") -> None:
    """Make the model of a run's best checkpoint, unless it is there and no checkpoint is newer."""
    if not spec.get("best_of"):
        return
    model, folder = str(spec["model"]), str(spec["best_of"])
    with contextlib.suppress(OSError):
        if os.path.getmtime(model) >= max(os.path.getmtime(place.path) for place in os.scandir(folder)):  # noqa: PTH204
            return
    from export_checkpoint import export  # type: ignore[import-not-found]

    made = export(folder, model)
    say("note", message="best checkpoint: %s" % made["checkpoint"])


def main() -> None:
    """Transcribe what the spec names."""
    with open(sys.argv[1]) as stream:
        spec = json.load(stream)
    # Libraries print on standard output; the lines of JSON must stand alone there.
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = lines
    try:
        make_model(spec)
        job = Job(spec)
        job.run()
        job.report("end")
    except (OSError, ValueError, NoRoomError) as error:
        say("refused", message=" ".join(str(error).split()))
        sys.exit(2)


if __name__ == "__main__":
    main()
