"""The life of a process that `parallel` starts. Imports little: it begins once for every part."""

from __future__ import annotations

import os
import pickle
import sys
from importlib import import_module
from time import monotonic

_SECONDS_PER_REPORT = 0.05


def serve() -> None:
    """One task from standard input, progress and result to standard output."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the pickles
    module, name, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301  (written by our own parent)
    told = 0.0

    def send(kind: str, value: object) -> None:
        pickle.dump((kind, value), channel, pickle.HIGHEST_PROTOCOL)
        channel.flush()

    def progress(fraction: float) -> bool:
        nonlocal told
        if monotonic() - told > _SECONDS_PER_REPORT:
            told = monotonic()
            send("progress", fraction)
        return True

    try:
        send("result", getattr(import_module(module), name)(*arguments, progress=progress))
    except BrokenPipeError:
        pass  # nobody waits for the result any more
    except Exception as error:
        send("error", error)
    # Freeing a million rows one by one takes longer than ending does.
    os._exit(0)
