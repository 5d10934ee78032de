"""Scripts that run where NeMo is: the standard library and, where said, nemo; nothing of this package."""
