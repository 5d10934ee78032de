"""Scripts that run where NeMo is: the standard library and, where said, nemo; nothing of this package."""

NEMO_INSTALL = "pip install 'nemo_toolkit[asr]==2.7.3' torch==2.13.0"
"""What gives a Python all that these scripts and NeMo's own want: the extra `nemo`, without the clone."""
