"""Train the small base model of the closed loop from random weights: a FastConformer with 6 M parameters.

It hears espeak-ng say random words for some minutes, so that it knows the speech and not one of the drug
names. The architecture is NeMo's own configuration, read from the checkout, made small.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import sentencepiece
import torch
from nemo.collections.asr.models import EncDecRNNTBPEModel
from omegaconf import DictConfig, OmegaConf, open_dict

CONFIG = "examples/asr/conf/fastconformer/fast-conformer_transducer_bpe.yaml"
VOCABULARY = 256
DURATIONS = [0, 1, 2, 3, 4]
PEAK_LR, LAST_LR, WARMUP_STEPS = 1.5e-3, 1e-5, 500
_ALPHABET = "a b c d e f g h i j k l m n o p q r s t u v w x y z a1c 0 1 2 3 4 5 6 7 8 9"


class TimedCosine(pl.Callback):
    """A learning rate that falls with the time that is left, and a stop when it is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.begin = 0.0

    def on_train_start(self, trainer: pl.Trainer, _model: pl.LightningModule) -> None:
        """The clock starts with the first step, not with the imports."""
        self.begin = time.monotonic()

    def on_train_batch_start(self, trainer: pl.Trainer, _model: pl.LightningModule, *_: Any) -> None:
        """Set the step's learning rate."""
        done = min(1.0, (time.monotonic() - self.begin) / self.seconds)
        warm = min(1.0, (trainer.global_step + 1) / WARMUP_STEPS)
        rate = LAST_LR + (PEAK_LR - LAST_LR) * min(warm, 0.5 * (1 + math.cos(math.pi * done)))
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def on_train_batch_end(self, trainer: pl.Trainer, _model: pl.LightningModule, *_: Any) -> None:
        """Tell how far it is; stop in time."""
        step, passed = trainer.global_step, time.monotonic() - self.begin
        if step % 200 == 0:
            loss = float(trainer.callback_metrics.get("train_loss", math.nan))
            print(f"step {step}, {step / passed:.1f} a second, loss {loss:.3f}, {passed:.0f} s", flush=True)
        if passed >= self.seconds:
            trainer.should_stop = True


def tokenizer(texts: list[str], folder: Path) -> None:
    """A BPE tokenizer of the training text; NeMo wants `tokenizer.model` and `vocab.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    prefix = folder / "tokenizer"
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter([*texts, *[_ALPHABET] * 50]),
        model_prefix=str(prefix),
        vocab_size=VOCABULARY,
        model_type="bpe",
        bos_id=-1,
        eos_id=-1,
        character_coverage=1.0,
        minloglevel=1,
    )
    pieces = [line.split("\t")[0] for line in prefix.with_suffix(".vocab").read_text("utf-8").splitlines()]
    words = [piece[1:] if piece.startswith("▁") else f"##{piece}" for piece in pieces if piece != "<unk>"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")


def small(nemo_root: Path, base: Path, batch_size: int, workers: int, *, tdt: bool) -> DictConfig:
    """NeMo's FastConformer transducer with ten narrow layers, as TDT (CUDA only) or as plain RNNT."""
    model: DictConfig = OmegaConf.load(nemo_root / CONFIG).model
    with open_dict(model):
        model.tokenizer.dir = str(base / "tokenizer")
        model.model_defaults.pred_hidden = model.model_defaults.joint_hidden = 256
        model.encoder.n_layers, model.encoder.d_model, model.encoder.n_heads = 10, 144, 4
        model.encoder.subsampling_conv_channels = 96
        model.joint.fuse_loss_wer, model.joint.fused_batch_size = False, None
        model.spec_augment.time_masks, model.spec_augment.freq_masks = 2, 1
        model.optim.lr = PEAK_LR
        del model.optim["sched"]  # the rate is the callback's
        if tdt:
            model.model_defaults.tdt_durations = DURATIONS
            model.model_defaults.num_tdt_durations = len(DURATIONS)
            model.joint.num_extra_outputs = len(DURATIONS)
            model.decoding.model_type, model.decoding.durations = "tdt", DURATIONS
            common = {"durations": DURATIONS, "sigma": 0.02}
            model.loss = {
                "loss_name": "tdt",
                "tdt_kwargs": {"fastemit_lambda": 0.0, "clamp": -1.0, "omega": 0.1, **common},
            }
        for name, shuffle in (("train", True), ("validation", False)):
            model[f"{name}_ds"] = {
                "manifest_filepath": str(base / f"{name}.jsonl"),
                "sample_rate": 16_000,
                "batch_size": batch_size,
                "shuffle": shuffle,
                "num_workers": workers,
                "pin_memory": tdt,
                "max_duration": 12,
                "min_duration": 0.1,
                "use_start_end_token": False,
            }
        model.test_ds = None
    return model


def save_whole(model: Any, out: Path) -> None:
    """Save under another name first: a file cut off on the way would count as made at the next start."""
    partial = out.with_name(f"{out.name}.partial")
    model.save_to(str(partial))
    partial.replace(out)


def main() -> None:
    """Train and save BASE.nemo in half precision, which halves the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("base", type=Path, help="folder with train.jsonl and validation.jsonl")
    parser.add_argument("out", type=Path, metavar="BASE.nemo")
    parser.add_argument("--nemo-root", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--batch-size", type=int, default=96)
    parser.add_argument("--workers", type=int, default=12)
    args = parser.parse_args()
    cuda = torch.cuda.is_available()
    pl.seed_everything(1, workers=True)
    lines = (args.base / "train.jsonl").read_text(encoding="utf-8").splitlines()
    tokenizer([json.loads(line)["text"] for line in lines[:20_000]], args.base / "tokenizer")
    trainer = pl.Trainer(
        accelerator="gpu" if cuda else "cpu",
        devices=1,
        precision="bf16-mixed" if cuda else "32",
        max_epochs=-1,
        limit_val_batches=0,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[TimedCosine(args.minutes * 60)],
    )
    config = small(args.nemo_root, args.base, args.batch_size, args.workers if cuda else 0, tdt=cuda)
    model = EncDecRNNTBPEModel(cfg=config, trainer=trainer)
    print(f"{sum(part.numel() for part in model.parameters()) / 1e6:.1f} M parameters", flush=True)
    trainer.fit(model)
    model.cfg.train_ds.manifest_filepath = model.cfg.validation_ds.manifest_filepath = None
    save_whole(model.half(), args.out)
    print(f"wrote {args.out} after {trainer.global_step} steps")


if __name__ == "__main__":
    main()
