"""The last look before money is spent on training: the sent split as the run will read it. Runs on the host.

Its source goes to the host's `python3` through standard input, so it needs only the standard library and
Python 3.6. The request is {"root": str, "inside": str, "manifests": [str]}: manifests relative to the root,
whose audio paths begin with `inside`, which is where the run sees the root. The answer is one line:
{"t": "checked", "rows": [n, ..], "problems": n, "first": [[manifest, line, what], ..]}.
"""

# Python 3.6 evaluates annotations and has neither `X | Y` nor list[X]: they stand in quotes.
# ruff: noqa: PTH118, PTH123, PTH202

import json
import os
import sys
from typing import Any

MOST = 20


def trouble(line: bytes, root: str, inside: str) -> str:
    """What NeMo would stumble over in a line; "" if nothing."""
    try:
        row = json.loads(line.decode("utf-8"))
    except ValueError as error:
        return "not valid JSON (" + str(error) + ")"
    if not isinstance(row, dict):
        return "not an object"
    audio = str(row.get("audio_filepath"))
    if not audio.startswith(inside + "/"):
        return "audio_filepath does not lead into " + inside
    return fault(row) or audio_trouble(audio, os.path.join(root, audio[len(inside) + 1 :]))


def fault(row: "dict[str, Any]") -> str:
    """What the run would stop at, or silently train on."""
    if "duration" not in row:
        return "duration is missing: NeMo stops before training"
    return "" if isinstance(row.get("text"), str) else "text is missing"


def audio_trouble(audio: str, place: str) -> str:
    """Whether the audio is there."""
    try:
        return "" if os.path.getsize(place) > 0 else audio + ": empty"
    except OSError as error:
        return audio + ": " + (error.strerror or "cannot be read")


def check(request: "dict[str, Any]") -> "dict[str, Any]":
    """Every line of every manifest."""
    root, inside = str(request["root"]), str(request["inside"])
    rows: list[int] = []
    first: list[list[object]] = []
    problems = 0
    for manifest in request["manifests"]:
        count = 0
        with open(os.path.join(root, manifest), "rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                count += 1
                what = trouble(line, root, inside)
                if what:
                    problems += 1
                    if len(first) < MOST:
                        first.append([manifest, number, what])
        rows.append(count)
    return {"t": "checked", "rows": rows, "problems": problems, "first": first}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(check(json.loads(sys.stdin.buffer.readline().decode()))) + "\n")
