"""Small .nemo files for tests: a real config, changed, and weights of zeros."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

CONFIG = (Path(__file__).parents[1] / "data/nemo/model_config.yaml").read_text()
"""The config of a FastConformer-TDT that NeMo 2.6.2 saved."""

TDT = CONFIG
RNNT = (
    CONFIG.replace("loss_name: tdt", "loss_name: default")
    .replace("model_type: tdt", "model_type: rnnt")
    .replace("durations:", "lengths:")
)
CTC = (
    CONFIG.replace("rnnt_bpe_models.EncDecRNNTBPEModel", "ctc_bpe_models.EncDecCTCModelBPE")
    .replace("modules.RNNTDecoder", "modules.ConvASRDecoder")
    .replace("tdt", "x")
)
HYBRID = CONFIG.replace("EncDecRNNTBPEModel", "EncDecHybridRNNTCTCBPEModel")
STREAMING = CONFIG.replace("att_context_style: regular", "att_context_style: chunked_limited")
UNKNOWN = "target: something.Else\nvalidation_ds: {}\n"


def put_model(path: Path, config: str = TDT) -> Path:
    """Write a .nemo with a config and a kilobyte of weights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in (
            ("./model_config.yaml", config.encode()),
            ("./model_weights.ckpt", bytes(1000)),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path
