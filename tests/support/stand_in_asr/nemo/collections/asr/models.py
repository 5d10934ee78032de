"""A model that says what its file holds for each clip, by the clip's name."""

# ruff: noqa: PTH123

import io
import json
import tarfile
import time


class Hypothesis:
    """One row's text."""

    def __init__(self, text):
        self.text = text


class ASRModel:
    """Its file holds `texts` by file name, rows it `fits` at a time, `seconds` a row, a log of `calls`."""

    def __init__(self, said):
        self.said = said
        self.spoilt = False

    @classmethod
    def restore_from(cls, path, map_location=None):
        with tarfile.open(path) as tar:
            return cls(json.loads(tar.extractfile("stand_in.json").read().decode()))

    @classmethod
    def from_pretrained(cls, name, map_location=None):
        raise FileNotFoundError("no model of the name " + name + ": this is a stand-in")

    def eval(self):
        return self

    def load_state_dict(self, state, strict):
        self.said = dict(self.said, texts=state)

    def save_to(self, path):
        content = json.dumps(self.said).encode()
        with tarfile.open(path, "w") as tar:
            member = tarfile.TarInfo("stand_in.json")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

    def transcribe(self, paths, batch_size, num_workers, verbose):
        if self.spoilt:
            # Seen with NeMo 2.7.3 on a GPU: a decoder that ran out of memory making its graphs.
            raise AttributeError("'NoneType' object has no attribute 'replay'")
        if len(paths) > self.said.get("fits", 1000):
            self.spoilt = True
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB (a stand-in says so)")
        found = []
        for path in paths:
            with open(path, "rb") as stream:
                stream.read(4)
            time.sleep(self.said.get("seconds", 0))
            name = path.rpartition("/")[2]
            if self.said.get("calls"):
                with open(self.said["calls"], "a") as calls:
                    calls.write(name + "\n")
            found.append(Hypothesis(self.said["texts"].get(name, "")))
        return found
