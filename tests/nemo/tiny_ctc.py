"""Make a CTC model of 0.2 M random weights that the stock script can train on a CPU. Runs where NeMo is.

python tiny_ctc.py ANY_MODEL_WITH_A_TOKENIZER.nemo OUT.nemo
"""

import sys
import tarfile
from pathlib import Path

from nemo.collections.asr.models import EncDecCTCModelBPE
from omegaconf import OmegaConf

MODULES = "nemo.collections.asr.modules"
CONFIG = {
    "sample_rate": 16000,
    "log_prediction": True,
    "ctc_reduction": "mean_batch",
    "train_ds": None,
    "validation_ds": {"manifest_filepath": None, "sample_rate": 16000, "batch_size": 4, "shuffle": False},
    "preprocessor": {
        "_target_": f"{MODULES}.AudioToMelSpectrogramPreprocessor",
        "sample_rate": 16000,
        "features": 80,
        "n_fft": 512,
    },
    "spec_augment": {
        "_target_": f"{MODULES}.SpectrogramAugmentation",
        "freq_masks": 1,
        "time_masks": 1,
        "freq_width": 10,
        "time_width": 0.05,
    },
    "encoder": {
        "_target_": f"{MODULES}.ConformerEncoder",
        "feat_in": 80,
        "feat_out": -1,
        "n_layers": 2,
        "d_model": 64,
        "subsampling": "dw_striding",
        "subsampling_factor": 8,
        "subsampling_conv_channels": 32,
        "ff_expansion_factor": 2,
        "self_attention_model": "rel_pos",
        "n_heads": 4,
        "conv_kernel_size": 9,
    },
    "decoder": {
        "_target_": f"{MODULES}.ConvASRDecoder",
        "feat_in": None,
        "num_classes": -1,
        "vocabulary": [],
    },
    "optim": {"name": "adamw", "lr": 1e-3},
}


def main() -> None:
    """Take the tokenizer of one model and give it to another."""
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    folder = out.parent / "tokenizer"
    folder.mkdir(exist_ok=True)
    with tarfile.open(source) as tar:
        for name in ("tokenizer.model", "tokenizer.vocab", "vocab.txt"):
            member = next(one for one in tar.getnames() if one.endswith(name))
            (folder / name).write_bytes(tar.extractfile(member).read())
    tokenizer = {"dir": str(folder), "type": "bpe"}
    EncDecCTCModelBPE(OmegaConf.create({**CONFIG, "tokenizer": tokenizer})).save_to(str(out))


if __name__ == "__main__":
    main()
