"""Stands in for torch where the stand-in for NeMo is used: it is not torch."""

import contextlib
import json

__version__ = "none: a stand-in"


class cuda:  # noqa: N801
    """There is no GPU."""

    @staticmethod
    def is_available():
        return False

    @staticmethod
    def empty_cache():
        return None


def inference_mode():
    """Nothing to switch off."""
    return contextlib.nullcontext()


def load(path, map_location=None, weights_only=True):
    """What a stand-in checkpoint holds."""
    with open(path) as stream:  # noqa: PTH123
        return json.load(stream)
