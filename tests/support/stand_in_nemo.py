"""Stands in for NeMo's stock fine-tuning script: it is not NeMo and trains nothing.

It takes the overrides the real script takes and refuses those it refuses, then plays a recorded run into the
run folder: console, event file, model. Which one is in the run's name: `oom-2` plays the recording `oom`,
anything unknown the finished one. `wait…` plays half of it, then waits; told to end (SIGTERM) it saves a
`-last` checkpoint and exits with 0 as the real script does. `hungry…` eats memory until it is killed.
"""

# A script of its own, for the bare Python of an image.
# ruff: noqa: PTH103, PTH110, PTH112, PTH113, PTH118, PTH123, PTH208, UP031

import json
import os
import shutil
import signal
import sys
import time

RECORDINGS = os.environ.get("STAND_IN_RECORDINGS", "/opt/recordings")
MODEL = os.environ.get("STAND_IN_MODEL", "")  # a file to give as the trained model
HOLDS = os.environ.get("STAND_IN_HOLDS", "")  # a folder; a run stays half-way while its name is there
KNOWN = (
    "init_from_nemo_model",
    "+init_from_pretrained_model",
    "model.train_ds.manifest_filepath",
    "model.validation_ds.manifest_filepath",
    "model.train_ds.batch_size",
    "model.validation_ds.batch_size",
    "model.optim.lr",
    "model.optim.sched.name",
    "model.optim.sched.warmup_steps",
    "trainer.precision",
    "trainer.max_epochs",
    "trainer.gradient_clip_val",
    "trainer.accumulate_grad_batches",
    "trainer.log_every_n_steps",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.accelerator",
    "trainer.sync_batchnorm",
    "exp_manager.name",
    "+exp_manager.explicit_log_dir",
    "exp_manager.resume_if_exists",
    "exp_manager.resume_ignore_no_checkpoint",
    "+exp_manager.create_early_stopping_callback",
    "+exp_manager.early_stopping_callback_params.monitor",
    "+exp_manager.early_stopping_callback_params.mode",
    "+exp_manager.early_stopping_callback_params.patience",
)


def overrides(arguments):
    """What was asked for; what the real script refuses ends here with its words."""
    if any(argument.startswith("--config") for argument in arguments):
        sys.exit("Cannot find primary config")
    found = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in KNOWN:
            sys.exit("Could not override '%s'.\nKey '%s' is not in struct" % (key, key.split(".")[-1]))
        found[key] = value.strip("'")
    return found


def recording(name):
    """The files of a recorded run as (place in the run folder, bytes), and its console streams."""
    folder = os.path.join(RECORDINGS, name)
    run = os.path.join(folder, "run")
    files = {}
    for entry in sorted(os.listdir(run)):
        path = os.path.join(run, entry)
        if os.path.isfile(path):
            with open(path, "rb") as stream:
                files[entry] = stream.read()
    streams = []
    for entry in ("console.log", "stdout.log", "stderr.log"):
        path = os.path.join(folder, entry)
        if os.path.exists(path):
            with open(path, "rb") as stream:
                streams.append((2 if entry == "stderr.log" else 1, stream.read()))
    return files, streams


def exit_code(name):
    """The recorded exit code."""
    try:
        with open(os.path.join(RECORDINGS, name, "rc")) as stream:
            return int(stream.read().split()[-1])
    except OSError:
        return 0


def read_manifest(path):
    """The real script stops where a line is no JSON; the stand-in also looks for the audio at once."""
    with open(path) as stream:
        for line in stream:
            with open(json.loads(line)["audio_filepath"], "rb") as audio:
                audio.read(4)


def play(name, files, streams, place, share):
    """Write the first part of everything, in pieces."""
    pieces = 10
    for piece in range(int(pieces * share)):
        while HOLDS and piece == pieces // 2 and os.path.exists(os.path.join(HOLDS, name)):
            time.sleep(0.05)
        for descriptor, data in streams:
            os.write(descriptor, data[len(data) * piece // pieces : len(data) * (piece + 1) // pieces])
        for entry, data in files.items():
            with open(os.path.join(place, entry), "wb" if piece == 0 else "ab") as stream:
                stream.write(data[len(data) * piece // pieces : len(data) * (piece + 1) // pieces])
        time.sleep(float(os.environ.get("STAND_IN_PAUSE", "0.02")))


def main():
    """Play a run."""
    asked = overrides(sys.argv[1:])
    name = asked["exp_manager.name"]
    place = asked["+exp_manager.explicit_log_dir"]
    read_manifest(asked["model.train_ds.manifest_filepath"])
    read_manifest(asked["model.validation_ds.manifest_filepath"])
    checkpoints = os.path.join(place, "checkpoints")
    os.makedirs(checkpoints, exist_ok=True)
    last = os.path.join(checkpoints, name + "--val_wer=0.0833-epoch=1-last.ckpt")
    if asked["exp_manager.resume_if_exists"] == "true" and os.path.exists(last):
        print("stand-in: resuming from " + last, flush=True)
    if name.startswith("hungry"):
        eaten = []
        while True:
            eaten.append(bytearray(1 << 20))

    kind = name.split("-")[0]
    kind = kind if os.path.isdir(os.path.join(RECORDINGS, kind)) else "sft3"
    files, streams = recording(kind)
    if name.startswith("wait") and not os.path.exists(last):
        ended = []
        signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
        play(name, files, streams, place, 0.5)
        while not ended:
            time.sleep(0.05)
        with open(last, "wb") as stream:
            stream.write(b"stand-in checkpoint")
        sys.exit(0)
    play(name, files, streams, place, 1)
    if name.startswith("lingers"):
        time.sleep(8)  # the finish line is told, the process is still tidying up
    code = exit_code(kind)
    if code == 0:
        for entry in (name + ".nemo", name + "--val_wer=0.0353-epoch=1.ckpt"):
            with open(os.path.join(checkpoints, entry), "wb") as stream:
                stream.write(b"stand-in model " + entry.encode())
        if MODEL:
            shutil.copy(MODEL, os.path.join(checkpoints, name + ".nemo"))
    sys.exit(code)


if __name__ == "__main__":
    main()
